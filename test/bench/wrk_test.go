package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
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

// A slice counts only with the answers that its candidate must give. It is taken again where answers are missing, never
// where they are wrong.
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
		err := tt.c.verify(tt.l)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
		if again := tt.l.Connect+tt.l.Read+tt.l.Write+tt.l.Timeout > 0 || tt.l.Requests == 0; errors.Is(err, errDisturbed) != again {
			t.Errorf("%s: taken again: %v, want %v", tt.name, !again, again)
		}
	}
}

// What wrk.lua is told has a place for each argument, whether it is used or not.
func TestQuestionArguments(t *testing.T) {
	for _, tt := range []struct {
		c     candidate
		round int
		want  string
	}{
		{candidate{Hosts: hostNames{limitedHost, 1}}, 3, "limited.bench.test 1 - 0 -"},
		{candidate{Hosts: hostNames{tenantHosts, 10}, Tokens: "tokens"}, 3, "t%07d.bench.test 10 - 0 tokens"},
		{candidate{Hosts: hostNames{tenantHosts, 10}, Draws: &draws{"drawn", 1_000_000}}, 5, "t%07d.bench.test 10 drawn 250035 -"},
	} {
		if got := strings.Join(tt.c.question(tt.round).arguments(), " "); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// A slice begins when all of wrk's threads are ready, however their words are cut.
func TestReadiness(t *testing.T) {
	r := &readiness{wanted: 2, ready: make(chan struct{})}
	isReady := func() bool {
		select {
		case <-r.ready:
			return true
		default:
			return false
		}
	}
	for _, tt := range []struct {
		text  string
		ready bool
	}{{"REA", false}, {"DY\nREADY", false}, {"\n", true}, {"READY\nRESULT {}\n", true}} {
		if _, err := r.Write([]byte(tt.text)); err != nil || isReady() != tt.ready {
			t.Errorf("after %q: ready %v, %v", tt.text, isReady(), err)
		}
	}
	if got, want := r.String(), "READY\nREADY\nREADY\nRESULT {}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// wrk is stopped after the slice, once, and only when it was ready; when it ends by itself, that is what is told.
func TestWaitSlice(t *testing.T) {
	broken := errors.New("exit status 1")
	ready, never := make(chan struct{}), make(chan struct{})
	close(ready)
	for _, tt := range []struct {
		name    string
		ready   chan struct{}
		slice   time.Duration
		early   error // how wrk ends before it is stopped; nil means that it does not
		stop    error
		want    error
		stopped int
	}{
		{"stopped", ready, time.Nanosecond, nil, nil, nil, 1},
		{"ended just now", ready, time.Nanosecond, nil, os.ErrProcessDone, nil, 1},
		{"cannot be stopped", ready, time.Nanosecond, nil, broken, broken, 1},
		{"ended before it was ready", never, time.Nanosecond, broken, nil, broken, 0},
		{"ended in between", ready, time.Hour, broken, nil, broken, 0},
	} {
		ended, stopped := make(chan error, 1), 0
		if tt.early != nil {
			ended <- tt.early
		}
		err := waitSlice(tt.ready, ended, tt.slice, func() error {
			stopped++
			ended <- nil
			return tt.stop
		})
		if !errors.Is(err, tt.want) || stopped != tt.stopped {
			t.Errorf("%s: %v, stopped %d times", tt.name, err, stopped)
		}
	}
}

// Several scenarios may be chosen, and all of them are those that RESULTS.md is made of.
func TestChosenScenarios(t *testing.T) {
	names := func(list []scenario) string {
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		return strings.Join(names, ",")
	}
	for chosen, want := range map[string]string{
		"all": "peers,refuse,tenants,cores,memory,cold", "one,refuse": "one,refuse", "profile": "profile",
	} {
		list, err := chosenScenarios(chosen)
		if got := names(list); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", chosen, got, err, want)
		}
	}
	if all := names(scenarios()); !slices.Contains(strings.Split(all, ","), "scale") {
		t.Errorf("scenarios are %s", all)
	}
}
