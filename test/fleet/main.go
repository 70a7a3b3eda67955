package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/fleet"
	"github.com/tenantgate/tenantgate/test/redis"
)

func main() {
	nodes := flag.String("nodes", "4,16,64", "how many gateways, one run for each")
	span := flag.Duration("for", 20*time.Second, "how long a run lasts")
	demand := flag.Float64("demand", 2, "requests for each one that the limits allow")
	mode := flag.String("mode", "lease", "lease or exact")
	churn := flag.Bool("churn", true, "gateways join, leave, and fall silent")
	restart := flag.Duration("restart", 0, "when Redis is killed and comes back empty; 0 is never")
	pause := flag.Duration("pause", 0, "when Redis is stopped for 2 s (SIGSTOP); 0 is never")
	timeout := flag.Duration("timeout", fleet.DefaultTimeout, "how long a request waits for Redis")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *nodes, config{
		span: *span, mode: fleet.Mode(*mode), churn: *churn, restart: *restart, pause: *pause, timeout: *timeout, seed: 1,
		tenants: tenants(*demand),
	}); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// tenants have limits from one a second to 50,000 a second.
func tenants(demand float64) []tenant {
	var list []tenant
	for i, l := range []struct {
		name     string
		requests int64
		period   time.Duration
		burst    int64
	}{
		{"60/m burst 20", 60, time.Minute, 20},
		{"600/m burst 600", 600, time.Minute, 600},
		{"100/s burst 100", 100, time.Second, 100},
		{"1000/s burst 200", 1000, time.Second, 200},
		{"10000/s burst 10000", 10_000, time.Second, 10_000},
		{"50000/s burst 50000", 50_000, time.Second, 50_000},
	} {
		rate, err := quota.NewRate(l.requests, l.period, l.burst)
		if err != nil {
			panic(err) // they are constants
		}
		list = append(list, tenant{
			name: l.name, rate: rate, demand: demand,
			key: quota.Key{Scope: quota.ScopeTenant, ID: [16]byte{0: 1, 15: byte(i + 1)}},
		})
	}
	return list
}

func run(ctx context.Context, nodes string, c config) error {
	dir, err := os.MkdirTemp("", "tenantgate-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := redis.Run(dir, redis.Options{})
	if err != nil {
		return err
	}
	defer server.Stop()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "nodes\tlimit\tasked\tadmitted\tat most\tof it\texcess\trequests per round trip\tlosses\t")
	for text := range strings.SplitSeq(nodes, ",") {
		if c.nodes, err = strconv.Atoi(text); err != nil || c.nodes < 1 {
			return fmt.Errorf("there can be no fleet of %q gateways", text)
		}
		results, err := simulate(ctx, server, c)
		if err != nil {
			return err
		}
		asked := int64(0)
		for i := range results {
			asked += results[i].asked
		}
		for i := range results {
			r := &results[i]
			fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%.0f\t%.1f %%\t%.0f\t%.0f\t%d\t\n", c.nodes, r.tenant.name, r.asked, r.admitted, r.most(),
				100*float64(r.admitted)/r.most(), r.excess(), float64(asked)/float64(max(r.calls, 1)), r.lost)
		}
	}
	return w.Flush()
}
