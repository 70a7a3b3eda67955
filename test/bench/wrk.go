package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed wrk.lua
var wrkScript []byte

// hostNames says under which host names a candidate is asked, one after the other.
type hostNames struct {
	// Format makes a host name of a tenant's number; without a verb every request has the same name.
	Format string
	// Count is the number of tenants, from 0 to Count-1.
	Count int
}

// name returns the host name of tenant i.
func (h hostNames) name(i int) string {
	if !strings.Contains(h.Format, "%") {
		return h.Format
	}
	return fmt.Sprintf(h.Format, i)
}

// wrk is the load generator.
type wrk struct {
	script      string // path of wrk.lua
	cores       coreSet
	connections int
}

// newWrk writes wrk's script into dir.
func newWrk(dir string, cores coreSet, connections int) (*wrk, error) {
	w := &wrk{script: dir + "/wrk.lua", cores: cores, connections: max(connections, len(cores))}
	if err := os.WriteFile(w.script, wrkScript, 0o644); err != nil {
		return nil, fmt.Errorf("writing wrk's script: %w", err)
	}
	return w, nil
}

// load is what one slice of wrk brought.
type load struct {
	Requests int64 `json:"requests"`
	// DurationMicros, P50Micros and P99Micros are in microseconds.
	DurationMicros int64 `json:"durationMicros"`
	P50Micros      int64 `json:"p50Micros"`
	P99Micros      int64 `json:"p99Micros"`
	// Refused counts answers with a status of 400 and above; they are among Requests.
	Refused int64 `json:"refused"`
	// Connect, Read, Write and Timeout count requests that got no answer.
	Connect int64 `json:"connect"`
	Read    int64 `json:"read"`
	Write   int64 `json:"write"`
	Timeout int64 `json:"timeout"`
}

// rate returns the answers per second.
func (l load) rate() float64 {
	return float64(l.Requests) / (float64(l.DurationMicros) / 1e6)
}

// question is what wrk asks.
type question struct {
	Hosts hostNames
	// Draws is a file of tenants' numbers in the order in which they are asked for (see [writeDraws]); without one all
	// tenants are asked for in turn.
	Draws string
	// From is the number of the draw, or of the tenant, to begin with.
	From int
	// Tokens is a file with a line for each tenant, which is sent as a bearer token; empty means none.
	Tokens string
}

// arguments returns what wrk.lua wants to know.
func (q question) arguments() []string {
	none := func(path string) string {
		if path == "" {
			return "-"
		}
		return path
	}
	return []string{q.Hosts.Format, strconv.Itoa(q.Hosts.Count), none(q.Draws), strconv.Itoa(q.From), none(q.Tokens)}
}

// longestSlice is more than any slice: wrk knows whole seconds only, so it is told this, and stopped by a signal.
const longestSlice = "600s"

// run asks address for the length of a slice. The time that counts is wrk's own.
func (w *wrk) run(ctx context.Context, address string, q question, slice time.Duration) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, slice+20*time.Second)
	defer cancel()
	arguments := append([]string{
		"-c", w.cores.String(), "wrk",
		"-t", strconv.Itoa(len(w.cores)), "-c", strconv.Itoa(w.connections), "-d", longestSlice, "--timeout", "10s",
		"-s", w.script, "http://" + address + "/", "--",
	}, q.arguments()...)
	cmd := exec.CommandContext(ctx, "taskset", arguments...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	said := &readiness{wanted: len(w.cores), ready: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return load{}, fmt.Errorf("wrk: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := waitSlice(said.ready, ended, slice, func() error { return cmd.Process.Signal(syscall.SIGINT) })
	out := said.String()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(out))
	}
	return parseLoad(out)
}

// waitSlice waits until wrk is ready, for the slice, calls stop, and waits until it has ended.
func waitSlice(ready <-chan struct{}, ended <-chan error, slice time.Duration, stop func() error) error {
	select {
	case <-ready:
	case err := <-ended:
		return err
	}
	timer := time.NewTimer(slice)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-ended:
		return err
	}
	if err := stop(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return <-ended
}

// readiness collects what wrk prints, and tells when each of its threads has said that it is ready. It is written to by
// one goroutine.
type readiness struct {
	mu     sync.Mutex
	text   strings.Builder
	wanted int
	ready  chan struct{} // closed then
}

// Write implements io.Writer.
func (r *readiness) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p)
	if r.wanted > 0 && strings.Count(r.text.String(), "READY\n") >= r.wanted {
		r.wanted = 0
		close(r.ready)
	}
	return len(p), nil
}

// String returns all that was printed until now.
func (r *readiness) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// parseLoad reads the line that wrk.lua prints from all that wrk printed.
func parseLoad(out string) (load, error) {
	for line := range strings.Lines(out) {
		text, ok := strings.CutPrefix(line, "RESULT ")
		if !ok {
			continue
		}
		var l load
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return load{}, fmt.Errorf("wrk's result %q: %w", strings.TrimSpace(text), err)
		}
		if l.DurationMicros <= 0 {
			return load{}, fmt.Errorf("wrk's result %q: no duration", strings.TrimSpace(text))
		}
		return l, nil
	}
	return load{}, fmt.Errorf("wrk printed no result: %s", strings.TrimSpace(out))
}
