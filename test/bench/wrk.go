package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
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

// run asks address under the given names for the length of a slice (whole seconds).
func (w *wrk) run(ctx context.Context, address string, hosts hostNames, slice time.Duration) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, slice+20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "taskset", "-c", w.cores.String(), "wrk",
		"-t", strconv.Itoa(len(w.cores)), "-c", strconv.Itoa(w.connections), "-d", slice.String(), "--timeout", "10s",
		"-s", w.script, "http://"+address+"/", "--", hosts.Format, strconv.Itoa(hosts.Count))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return parseLoad(string(out))
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
