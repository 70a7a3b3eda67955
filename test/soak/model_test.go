package main

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// second is a time of these tests.
func second(n float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(n * float64(time.Second)))
}

// Promise: a timeline gives what was possible while a request was under way, and nothing else.
func TestTimeline(t *testing.T) {
	line := since(second(0), "a")
	line.begin(second(10), 0, "b")
	line.done(second(11))
	line.begin(second(20), 1, "c") // not confirmed yet
	certain := func(answered time.Time, by int) time.Time {
		if answered.Equal(never) || by == everywhere {
			return answered
		}
		return answered.Add(2 * time.Second)
	}
	for _, tt := range []struct {
		from, to float64
		want     []string
	}{
		{1, 2, []string{"a"}},
		{9, 10, []string{"a", "b"}}, // was under way when the change began
		{10.5, 10.6, []string{"a", "b"}},
		{12.9, 12.95, []string{"a", "b"}}, // within the time that the change may take
		{13, 14, []string{"b"}},
		{19, 25, []string{"b", "c"}},
		{99, 100, []string{"b", "c"}}, // for as long as nobody knows
	} {
		if got := line.possible(second(tt.from), second(tt.to), certain); !slices.Equal(got, tt.want) {
			t.Errorf("from %v to %v: %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
	if line.settled() || line.last() != "c" {
		t.Error("a change that is not confirmed counts as settled")
	}
	line.done(second(21))
	if got := line.possible(second(23), second(24), certain); !slices.Equal(got, []string{"c"}) {
		t.Errorf("after the confirmation: %v", got)
	}
	for n := range 3 * keptPoints {
		line.begin(second(30+float64(n)), 0, "x")
		line.done(second(30 + float64(n)))
	}
	if len(line.points) > keptPoints {
		t.Errorf("%d points are kept", len(line.points))
	}
}

// Promise: what takes two seconds takes two seconds more after each outage that comes in between.
func TestDelay(t *testing.T) {
	var s spans
	s.add(second(10), second(13))
	s.add(second(13.5), second(15)) // one with the other
	s.add(second(16), second(18))
	s.open(second(40))
	for from, want := range map[float64]time.Time{
		1: second(3), 8: second(10), 9: second(20), 12: second(20), 15.5: second(20), 18: second(20), 37: second(39), 39: never, 41: never,
	} {
		if got := s.delay(second(from), 2*time.Second); !got.Equal(want) {
			t.Errorf("from %v: %v, want %v", from, got.Sub(second(0)), want.Sub(second(0)))
		}
	}
	s.end(second(42))
	if got := s.delay(second(39), 2*time.Second); !got.Equal(second(44)) {
		t.Errorf("after the end: %v", got)
	}
	if s.touch(second(19), second(20), 0) || !s.touch(second(19), second(20), 2*time.Second) || s.sum() != 9*time.Second || s.count() != 3 {
		t.Error("the stretches are others")
	}
}

// served is the answer of an upstream that was told of a tenant.
func served(tenant, environment, plan, upstream string) result {
	return result{status: http.StatusOK, echo: harness.Echo{Upstream: upstream, Header: http.Header{
		"X-Tenant-Id": {tenant}, "X-Environment-Id": {environment}, "X-Tenant-Plan": {plan},
	}}}
}

// Promise: an answer is right only when it is for the tenant and environment that was asked for, by its upstream, in its
// state at that moment; and one for another tenant is told apart from all other mistakes.
func TestCheck(t *testing.T) {
	s := &system{upstreams: []*upstream{{name: "first"}, {name: "second"}}}
	g := &gateway{number: 0}
	p := &subject{tenant: "t", environment: "e", state: since(second(0), state{active, 0, "pro"})}
	r := &reference{kind: bySlug, value: "acme", leads: since(second(0), p)}
	p.state.begin(second(100), 1, state{suspended, 0, "pro"})
	p.state.done(second(101))
	w := func(from, to float64) when { return when{second(from), second(to)} }
	refused := result{status: http.StatusForbidden, code: "tenant_suspended"}
	for name, tt := range map[string]struct {
		at          when
		got         result
		good, wrong bool
	}{
		"served":                           {w(1, 2), served("t", "e", "pro", "first"), true, false},
		"another tenant":                   {w(1, 2), served("x", "e", "pro", "first"), false, true},
		"another environment":              {w(1, 2), served("t", "x", "pro", "first"), false, true},
		"no tenant":                        {w(1, 2), result{status: http.StatusOK}, false, true},
		"another upstream":                 {w(1, 2), served("t", "e", "pro", "second"), false, false},
		"another plan":                     {w(1, 2), served("t", "e", "free", "first"), false, false},
		"refused without a reason":         {w(1, 2), refused, false, false},
		"over a quota that nobody is over": {w(1, 2), result{status: http.StatusTooManyRequests, code: "quota_exceeded"}, false, false},
		"bad gateway":                      {w(1, 2), result{status: http.StatusBadGateway}, false, false},
		"unavailable":                      {w(1, 2), result{status: http.StatusServiceUnavailable, code: "registry_unavailable"}, false, false},
		"refused while it is suspended":    {w(99, 100), refused, true, false},
		"served within the grace":          {w(103, 104), served("t", "e", "pro", "first"), true, false},
		"served after it":                  {w(106, 107), served("t", "e", "pro", "first"), false, false},
		"refused after it":                 {w(106, 107), refused, true, false},
	} {
		_, err := s.check(g, 4*time.Second, r, tt.at, tt.got)
		wrong := (*wrongTenant)(nil)
		if (err == nil) != tt.good || errors.As(err, &wrong) != tt.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
	// On the gateway that made the change it holds at once.
	if _, err := s.check(&gateway{number: 1}, 4*time.Second, r, w(102, 103), served("t", "e", "pro", "first")); err == nil {
		t.Error("the gateway that has suspended a tenant may serve it")
	}
	if late, err := s.check(g, 4*time.Second, r, w(102, 103), served("t", "e", "pro", "first")); err != nil || late != 1250*time.Millisecond {
		t.Errorf("an answer a second after the change counts as %v late, %v", late, err)
	}
	// What is away is excused while it is away.
	s.registryDown.add(second(0), second(5))
	s.upstreams[0].down.add(second(0), second(5))
	for _, got := range []result{{status: http.StatusBadGateway}, {status: http.StatusServiceUnavailable, code: "registry_unavailable"}} {
		if _, err := s.check(g, 4*time.Second, r, w(1, 2), got); err != nil {
			t.Error(err)
		}
	}
	r.steady = true
	if _, err := s.check(g, 4*time.Second, r, w(1, 2), result{status: http.StatusServiceUnavailable, code: "registry_unavailable"}); err == nil {
		t.Error("a steady tenant may be unavailable")
	}
}

// Promise: while the machine stands still mistakes are excused, and counted; an answer of another tenant never is.
func TestExcuse(t *testing.T) {
	s := &system{}
	s.stalls.add(second(10), second(20))
	tally := newTally(io.Discard)
	tally.stalled = s.stalled
	tally.fail("a", when{second(1), second(2)}, errors.New("before"))
	tally.fail("a", when{second(12), second(13)}, errors.New("meanwhile"))
	tally.fail("a", when{second(30), second(31)}, errors.New("shortly after"))
	tally.fail("a", when{second(60), second(61)}, errors.New("long after"))
	tally.fail("a", when{second(12), second(13)}, &wrongTenant{"meanwhile"})
	if tally.failed != 3 || tally.excused != 2 || tally.wrong != 1 || len(tally.failures) != 3 {
		t.Errorf("%d failures, %d excused, %d wrong, %d told", tally.failed, tally.excused, tally.wrong, len(tally.failures))
	}
	for range 10 * keptOfKind {
		tally.fail("many", when{}, errors.New("again"))
	}
	tally.fail("other", when{}, errors.New("once"))
	if last := tally.failures[len(tally.failures)-1]; last.kind != "other" || len(tally.failures) != 3+keptOfKind+1 {
		t.Errorf("many failures of one kind hide others: %d are told", len(tally.failures))
	}
}
