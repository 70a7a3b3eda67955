package main

import (
	"strings"
	"testing"
)

// wrkOutput is what wrk 4.1.0 prints with wrk.lua.
const wrkOutput = `Running 1s test @ http://127.0.0.1:21802/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.52ms    2.93ms  30.76ms   86.12%
    Req/Sec    21.50k     1.71k   23.66k    80.00%
  21384 requests in 1.00s, 5.77MB read
  Non-2xx or 3xx responses: 12
Requests/sec:  21377.72
Transfer/sec:      5.77MB
RESULT {"requests":21384,"durationMicros":1000293,"p50Micros":2870,"p99Micros":14026,"refused":12,"connect":1,"read":2,"write":3,"timeout":4}
`

// What wrk says is read in full: an error that was overlooked would make a broken server look fast.
func TestParseLoad(t *testing.T) {
	got, err := parseLoad(wrkOutput)
	if err != nil {
		t.Fatal(err)
	}
	want := load{
		Requests: 21384, DurationMicros: 1000293, P50Micros: 2870, P99Micros: 14026,
		Refused: 12, Connect: 1, Read: 2, Write: 3, Timeout: 4,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if rate := got.rate(); rate < 21377 || rate > 21378 {
		t.Errorf("rate %v, wrk itself says 21377.72", rate)
	}
}

// Output without a usable result is an error that quotes it, never a slice of zeros.
func TestParseLoadRefuses(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":      "",
		"no result":    "unable to connect to 127.0.0.1:1 Connection refused\n",
		"cut off":      `RESULT {"requests":21384,"dur` + "\n",
		"not a number": `RESULT {"requests":-nan}` + "\n",
		"no time":      `RESULT {"requests":0,"durationMicros":0}` + "\n",
	} {
		if l, err := parseLoad(out); err == nil {
			t.Errorf("%s: no error, but %+v", name, l)
		} else if first, _, _ := strings.Cut(strings.TrimSpace(out), "{"); !strings.Contains(err.Error(), strings.TrimPrefix(first, "RESULT ")) {
			t.Errorf("%s: error %q does not quote the output", name, err)
		}
	}
}

// A slice counts only with the answers that its candidate must give.
func TestVerify(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    candidate
		l    load
		ok   bool
	}{
		{"all good", candidate{Status: 200}, load{Requests: 10}, true},
		{"an error", candidate{Status: 200}, load{Requests: 10, Refused: 1}, false},
		{"no answers", candidate{Status: 200}, load{}, false},
		{"all refused", candidate{Status: 429}, load{Requests: 10, Refused: 10}, true},
		{"one let through", candidate{Status: 429}, load{Requests: 10, Refused: 9}, false},
		{"one let through, tolerated", candidate{Status: 429, Tolerated: 2}, load{Requests: 10, Refused: 9}, true},
		{"too many let through", candidate{Status: 429, Tolerated: 2}, load{Requests: 10, Refused: 7}, false},
		{"lost on connect", candidate{Status: 200}, load{Requests: 10, Connect: 1}, false},
		{"lost on read", candidate{Status: 200}, load{Requests: 10, Read: 1}, false},
		{"lost on write", candidate{Status: 200}, load{Requests: 10, Write: 1}, false},
		{"timed out", candidate{Status: 200}, load{Requests: 10, Timeout: 1}, false},
	} {
		if err := tt.c.verify(tt.l); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
