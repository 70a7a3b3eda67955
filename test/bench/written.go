package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// unwrittenMetric is the gateway's metric of accounts that are not written to the registry yet.
	unwrittenMetric = "tenantgate_usage_unwritten"
	// writtenPause is how long it waits before it asks again: to ask costs the gateway a millisecond.
	writtenPause = 250 * time.Millisecond
	// writtenLimit is how long a gateway may take to write everything.
	writtenLimit = 5 * time.Minute
)

// waitWritten waits until a gateway has written to its registry what all tenants have used.
func (p *process) waitWritten(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writtenLimit)
	defer cancel()
	tick := time.NewTicker(writtenPause)
	defer tick.Stop()
	for {
		n, err := unwritten(ctx, p.Admin)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if n == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %d accounts are not written to the registry: %w", p.Name, n, ctx.Err())
		}
	}
}

// unwritten asks a gateway's admin endpoint how many accounts are not written yet.
func unwritten(ctx context.Context, admin string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := probeClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("metrics: status %d", resp.StatusCode)
	}
	return parseMetric(resp.Body, unwrittenMetric)
}

// parseMetric finds the value of a metric without labels in Prometheus' text format.
func parseMetric(r io.Reader, name string) (int64, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			return int64(v), err
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("metrics: no %s", name)
}

// wholePerRequest is [sample.cpuPerRequest] with what the server did after the slice.
func (s sample) wholePerRequest() float64 {
	return float64(s.WholeCPU.Microseconds()) / float64(s.Requests)
}

// withWriting adds columns to a table of results: what a request costs with what was written after the slices.
func withWriting(t table, samples [][]sample) table {
	t.Header = append(t.Header, "CPU µs/request with writing", "÷ first")
	for i := range t.Rows {
		ratio := pairedRatios(column(samples[i], sample.wholePerRequest), column(samples[0], sample.wholePerRequest))
		t.Rows[i] = append(t.Rows[i],
			fmt.Sprintf("%.1f", median(column(samples[i], sample.wholePerRequest))), fmt.Sprintf("%.3f", median(ratio)))
	}
	return t
}
