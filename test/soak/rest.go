package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// restLimit is how long a gateway may take to give back what load has made it hold: idle connections to upstreams stay for
	// two minutes, others for less.
	restLimit = 4 * time.Minute
	// restRoom is how many goroutines and file descriptors it may hold more than before the load.
	restRoom = 20
)

// holdings are goroutines and file descriptors of a gateway.
type holdings struct{ goroutines, descriptors float64 }

// holds counts what a gateway holds.
func (g *gateway) holds(ctx context.Context) (holdings, error) {
	metrics, err := get(ctx, "http://"+g.api+"/metrics")
	if err != nil {
		return holdings{}, err
	}
	goroutines, err := metric(metrics, "go_goroutines")
	if err != nil {
		return holdings{}, err
	}
	descriptors, err := os.ReadDir(filepath.Join("/proc", strconv.FormatInt(g.pid.Load(), 10), "fd"))
	return holdings{goroutines, float64(len(descriptors))}, err
}

// atRest is what each gateway held before there was load, and when it was over. Under load both rise and fall with how many
// connections clients happen to keep, and say nothing of leaks.
type atRest struct{ before, after []holdings }

// quiet waits until no client keeps a connection, and each gateway holds no more than as much as at most, and restRoom on top;
// without most, until it holds no less than a second before. It returns what each holds then, or when the time is up.
func (s *system) quiet(ctx context.Context, most []holdings, limit time.Duration) ([]holdings, error) {
	list := make([]holdings, len(s.gateways))
	deadline := time.Now().Add(limit)
	for i, g := range s.gateways {
		for {
			g.http.CloseIdleConnections()
			was := list[i]
			var err error
			if list[i], err = g.holds(ctx); err != nil {
				return nil, fmt.Errorf("gateway %d at rest: %w", g.number+1, err)
			}
			settled := list[i].goroutines >= was.goroutines && was.goroutines > 0
			if most != nil {
				settled = list[i].within(most[i])
			}
			if settled || time.Now().After(deadline) {
				break
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	return list, nil
}

// within says whether h is as much as before, give or take what changes by itself.
func (h holdings) within(before holdings) bool {
	return h.goroutines <= before.goroutines+restRoom && h.descriptors <= before.descriptors+restRoom
}

// judge returns what is wrong with what gateways hold at rest.
func (r atRest) judge() (wrong []string) {
	for i := range r.after {
		if !r.after[i].within(r.before[i]) {
			wrong = append(wrong, fmt.Sprintf("gateway %d at rest holds %.0f goroutines and %.0f file descriptors, before the load %.0f and %.0f",
				i+1, r.after[i].goroutines, r.after[i].descriptors, r.before[i].goroutines, r.before[i].descriptors))
		}
	}
	return wrong
}

func (r atRest) write(b *strings.Builder) {
	fmt.Fprintf(b, "At rest, before the load and after it, when clients have closed their connections and idle ones to upstreams have ended (up to %s later); "+
		"up to %d more are as before:\n\n| gateway | goroutines before | after | file descriptors before | after | |\n| --- | --- | --- | --- | --- | --- |\n", restLimit, restRoom)
	for i := range r.after {
		verdict := "as before"
		if !r.after[i].within(r.before[i]) {
			verdict = "**more**"
		}
		fmt.Fprintf(b, "| %d | %.0f | %.0f | %.0f | %.0f | %s |\n", i+1, r.before[i].goroutines, r.after[i].goroutines, r.before[i].descriptors, r.after[i].descriptors, verdict)
	}
	b.WriteString("\n")
}
