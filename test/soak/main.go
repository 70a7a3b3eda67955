package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	duration      time.Duration
	rate          float64
	grace         time.Duration
	gateways      int
	binary, sqld  string
	dir           string
	report, graph string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	result, err := run(ctx, o, os.Stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "soak: interrupted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	wrong := result.judge()
	for _, text := range wrong {
		fmt.Println("FAILED:", text)
	}
	fmt.Println("report:", o.report)
	if len(wrong) > 0 {
		os.Exit(1)
	}
}

// parseOptions reads the command line, and prints what is wrong with it to messages.
func parseOptions(args []string, messages io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(messages)
	f.DurationVar(&o.duration, "duration", time.Hour, "how long; growth only counts from 30m on")
	f.Float64Var(&o.rate, "rate", 300, "requests a second, over all gateways")
	f.DurationVar(&o.grace, "grace", 2*pollInterval+2*time.Second, "how long a change may take to hold on another gateway: two polls, and two seconds for a machine that is busy")
	f.IntVar(&o.gateways, "gateways", 2, "how many gateways")
	f.StringVar(&o.binary, "gateway", "test/.tmp/soak/tenantgate", "the built gateway")
	f.StringVar(&o.sqld, "sqld", os.Getenv("TENANTGATE_SQLD"), "the libSQL server; default: what TENANTGATE_SQLD names")
	f.StringVar(&o.dir, "dir", "test/.tmp/soak", "directory for everything that is written but the report")
	f.StringVar(&o.report, "o", "test/soak/REPORT.md", "the report; its picture lies beside it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.duration < 5*time.Second:
		return o, errors.New("-duration must be at least 5s")
	case o.rate < 10 || o.rate > 2000:
		return o, errors.New("-rate must be from 10 to 2000: this is no benchmark")
	case o.grace < 2*pollInterval:
		return o, fmt.Errorf("-grace must be at least two polls, %s", 2*pollInterval)
	case o.gateways < 1 || o.gateways > len(colours):
		return o, fmt.Errorf("-gateways must be from 1 to %d", len(colours))
	case o.sqld == "":
		return o, errors.New("no libSQL server: give -sqld or set TENANTGATE_SQLD; ./test/run brings one")
	}
	o.graph = filepath.Join(filepath.Dir(o.report), "report.svg")
	for _, path := range []*string{&o.binary, &o.sqld, &o.dir} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = absolute
	}
	return o, nil
}
