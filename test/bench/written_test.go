package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A gateway is waited for until it says that all is written; one that does not say so is an error.
func TestWaitWritten(t *testing.T) {
	var asked atomic.Int64
	text := func(n string) string {
		return "# HELP " + unwrittenMetric + " Accounts.\n# TYPE " + unwrittenMetric + " gauge\n" + unwrittenMetric + "_seconds 3\n" + n
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left := map[int64]string{1: "2.000001e+06", 2: "1"}[asked.Add(1)]
		if left == "" {
			left = "0"
		}
		_, _ = w.Write([]byte(text(unwrittenMetric + " " + left + "\n")))
	}))
	defer server.Close()
	p := &process{server: serverAt(server.URL)}
	if err := p.waitWritten(t.Context()); err != nil || asked.Load() != 3 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(text(""))) }))
	defer other.Close()
	p = &process{server: serverAt(other.URL)}
	if err := p.waitWritten(t.Context()); err == nil || !strings.Contains(err.Error(), unwrittenMetric) {
		t.Errorf("without the metric: %v", err)
	}
}

func serverAt(url string) server {
	return server{Name: "gateway", Admin: strings.TrimPrefix(url, "http://")}
}

// What is written after the slice stands in columns of its own, and is compared round by round.
func TestWithWriting(t *testing.T) {
	samples := [][]sample{slicesOf(1000, 1000, 1000), slicesOf(1000, 500, 1000)}
	for i := range samples {
		for k := range samples[i] {
			samples[i][k].WholeCPU = samples[i][k].ServerCPU + time.Duration(i)*100*time.Millisecond
		}
	}
	got := withWriting(resultTable([]candidate{{Name: "ten"}, {Name: "many"}}, samples), samples)
	for i, want := range []string{"1000.0|1.000", "1100.0|1.100"} {
		row := got.Rows[i]
		if strings.Join(row[len(row)-2:], "|") != want || len(row) != len(got.Header) {
			t.Errorf("row %d is %q", i, row)
		}
	}
}
