package quota

import (
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

// Promise: the fields are as the draft and DESIGN show them.
func TestHeaderTable(t *testing.T) {
	free := mustRate(t, 60, time.Minute, 20)
	limits := []Limit{
		{Name: "requests", Rate: free},
		{Name: "none"},
		{Name: "environment", Rate: mustRate(t, 10, time.Second, 0)},
	}
	statuses := []Status{
		{Remaining: 12, Next: 4*time.Second + 1, Reset: 30 * time.Second},
		unlimited(),
		{Remaining: 3, Next: time.Millisecond, Reset: 700 * time.Millisecond},
	}
	for _, tc := range []struct {
		name, got, want string
	}{
		{"one policy", string(AppendPolicy(nil, limits[:1])), `"requests";q=60;w=60`},
		{"policies", string(AppendPolicy(nil, limits)), `"requests";q=60;w=60, "environment";q=10;w=1`},
		{"no policy", string(AppendPolicy(nil, limits[1:2])), ``},
		{"no policies", string(AppendPolicy(nil, nil)), ``},
		{"appended", string(AppendPolicy([]byte("x: "), limits[2:])), `x: "environment";q=10;w=1`},
		{"one limit", string(AppendRateLimit(nil, limits[:1], statuses[:1])), `"requests";r=12;t=5`},
		{"limits", string(AppendRateLimit(nil, limits, statuses)), `"requests";r=12;t=5, "environment";r=3;t=1`},
		{"a full bucket", string(AppendRateLimit(nil, limits[:1], []Status{{Remaining: 20}})), `"requests";r=20;t=0`},
		{"an hour's window", string(AppendPolicy(nil, []Limit{{Name: "h", Rate: mustRate(t, 5, time.Hour, 0)}})), `"h";q=5;w=3600`},
		{"sixteen digits", string(AppendPolicy(nil, []Limit{{Name: "m", Rate: mustRate(t, MaxRequests, time.Minute, 0)}})), `"m";q=999999999999999;w=60`},
		{"sixteen digits remain", string(AppendRateLimit(nil, limits[:1], []Status{{Remaining: MaxRequests, Next: math.MaxInt64}})), `"requests";r=999999999999999;t=9223372037`},
		{"kinds", string(AppendPolicy(nil, kindsOfLimit)), `"day";q=5;w=86400, "month";q=7, "concurrency";q=9;qu="concurrent-requests"`},
		{"kinds left", string(AppendRateLimit(nil, kindsOfLimit, kindsLeft)), `"day";r=4;t=3600, "month";r=0;t=0, "concurrency";r=2`},
		{"X-RateLimit-Limit of an allowance", string(AppendXLimit(nil, &kindsOfLimit[0])), "5"},
		{"X-RateLimit-Limit of concurrency", string(AppendXLimit(nil, &kindsOfLimit[3])), "9"},
		{"retry", string(AppendRetryAfter(nil, 1500*time.Millisecond)), "2"},
		{"retry exactly", string(AppendRetryAfter(nil, 2*time.Second)), "2"},
		{"retry at once", string(AppendRetryAfter(nil, 0)), "1"},
		{"retry soon", string(AppendRetryAfter(nil, 1)), "1"},
		{"retry never", string(AppendRetryAfter(nil, Never)), ""},
		{"retry, as text", FormatRetryAfter(1500 * time.Millisecond), "2"},
		{"retry at once, as text", FormatRetryAfter(0), "1"},
		{"retry far away, as text", FormatRetryAfter(math.MaxInt64), "9223372037"},
		{"retry never, as text", FormatRetryAfter(Never), ""},
		{"X-RateLimit-Limit", string(AppendXLimit(nil, &limits[0])), "20"},
		{"X-RateLimit-Remaining", string(AppendXRemaining(nil, &statuses[0])), "12"},
		{"X-RateLimit-Reset", string(AppendXReset(nil, &statuses[2])), "1"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, tc.got, tc.want)
		}
	}
}

// kindsOfLimit are limits of which the third only counts and the last is a shadow.
var kindsOfLimit = []Limit{
	{Name: "day", Allowance: Allowance{5, PeriodDay}},
	{Name: "month", Allowance: Allowance{7, PeriodMonth}},
	{Name: "counted", Allowance: Allowance{Period: PeriodMonth}},
	{Name: "concurrency", Concurrent: 9},
	{Name: "shadow", Concurrent: 9, Shadow: true},
}

// kindsLeft is what is left of kindsOfLimit.
var kindsLeft = []Status{{Remaining: 4, Next: time.Hour}, {}, {Remaining: 7}, {Remaining: 2}, {Remaining: 1}}

// Promise: fields with limits of all kinds are Lists of Strings with parameters of the draft's types for a parser that we did
// not write.
func TestHeadersOfKinds(t *testing.T) {
	for _, field := range []string{
		string(AppendPolicy(nil, kindsOfLimit)), string(AppendRateLimit(nil, kindsOfLimit, make([]Status, len(kindsOfLimit)))),
	} {
		list, err := httpsfv.UnmarshalList([]string{field})
		if err != nil || len(list) != 3 {
			t.Fatalf("%s: %v", field, err)
		}
		for _, member := range list {
			item := member.(httpsfv.Item)
			if _, ok := item.Value.(string); !ok {
				t.Errorf("%s: %v is no String", field, item.Value)
			}
			for _, name := range item.Params.Names() {
				value, _ := item.Params.Get(name)
				if _, isString := value.(string); isString != (name == "qu") {
					t.Errorf("%s: %s is %v", field, name, value)
				}
			}
		}
	}
}

// Promise: the names of the fields are those that HTTP knows them by.
func TestHeaderNames(t *testing.T) {
	for _, name := range []string{HeaderPolicy, HeaderRateLimit, HeaderRetryAfter, HeaderXLimit, HeaderXRemaining, HeaderXReset} {
		h := http.Header{}
		h.Set(name, "1")
		if h.Get(strings.ToLower(name)) != "1" {
			t.Errorf("%s is not found again", name)
		}
	}
}

// Promise: what is appended is a List of Strings with Integer parameters (RFC 9651), whatever the name and numbers:
// a parser that we did not write reads the same back. (It refuses Integers of exactly 15 digits that something
// follows, which RFC 9651 §4.2.4 allows; TestHeaderTable has those.)
func FuzzHeaders(f *testing.F) {
	f.Add("requests", int64(60), int64(12), int64(5*time.Second))
	f.Add(`a "quoted\" name`, int64(1), int64(0), int64(-1))
	f.Add("Größe\x00\x7f", MaxRequests, MaxRequests, int64(math.MaxInt64))
	f.Add("", int64(7), int64(math.MinInt64), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, name string, requests, remaining, next int64) {
		const fourteen = 99_999_999_999_999
		requests, remaining = min(requests, fourteen), min(remaining, fourteen)
		r, err := NewRate(requests, time.Minute, 1)
		if err != nil {
			return
		}
		limits := []Limit{{Name: name, Rate: r}, {Name: "second", Rate: r}}
		statuses := []Status{{Remaining: remaining, Next: time.Duration(next)}, {Remaining: 1}}
		policy, limit := AppendPolicy(nil, limits), AppendRateLimit(nil, limits, statuses)
		checkList(t, policy, name, "q", requests, "w", 60)
		wantT := time.Duration(max(next, 0))
		checkList(t, limit, name, "r", max(remaining, 0), "t", int64((wantT/time.Second)+min(wantT%time.Second, 1)))
	})
}

func checkList(t *testing.T, field []byte, name, key1 string, want1 int64, key2 string, want2 int64) {
	t.Helper()
	list, err := httpsfv.UnmarshalList([]string{string(field)})
	if err != nil {
		t.Fatalf("%s: %v", field, err)
	}
	if len(list) != 2 {
		t.Fatalf("%s: %d members", field, len(list))
	}
	item := list[0].(httpsfv.Item)
	got, ok := item.Value.(string)
	if plain, err := url.PathUnescape(got); !ok || err != nil || plain != name {
		t.Errorf("%s: name %q, want %q", field, got, name)
	}
	for key, want := range map[string]int64{key1: want1, key2: want2} {
		if v, _ := item.Params.Get(key); v != want {
			t.Errorf("%s: %s=%v, want %d", field, key, v, want)
		}
	}
	if v := list[1].(httpsfv.Item).Value; v != "second" {
		t.Errorf("%s: second name %v", field, v)
	}
}

// Promise: Retry-After never names an earlier moment than t (draft-ietf-httpapi-ratelimit-headers-10 §5), and a
// client that waits for it, in whole seconds, passes.
func TestRetryAfterIsRight(t *testing.T) {
	for _, r := range someRates(t) {
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		limits, out := one(r), make([]Status, 1)
		if !l.Take(clk.Now(), r.burst, limits, out) {
			t.Fatal("refused")
		}
		for _, cost := range []int64{1, (r.burst + 1) / 2, r.burst} {
			now := clk.Add(time.Duration(1))
			if l.Take(now, cost, limits, out) {
				continue // so fast a rate that a nanosecond is enough
			}
			wait := seconds(RetryAfter(out))
			if next := seconds(out[0].Next); wait < next || wait < 1 {
				t.Errorf("%v: Retry-After %d, t %d", r, wait, next)
			}
			if now = clk.Add(time.Duration(wait) * time.Second); !l.Take(now, cost, limits, out) {
				t.Errorf("%v: refused after Retry-After: %+v", r, out[0])
			}
			for now = clk.Now(); l.Take(now, 1, limits, out) && r.burst < 100_000; {
			}
		}
	}
}

// Promise: of several limits, the one that matters is told where only one can be.
func TestTightest(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	three := []Limit{{Rate: r}, {Rate: r}, {Rate: r}}
	for _, tc := range []struct {
		name     string
		limits   []Limit
		statuses []Status
		want     int
		retry    time.Duration
	}{
		{"none", nil, nil, -1, 0},
		{"only the zero rate", []Limit{{}}, []Status{unlimited()}, -1, 0},
		{"the fewest remaining", three, []Status{{Remaining: 3}, {Remaining: 1}, {Remaining: 2}}, 1, 0},
		{"as many remaining, longer to refill", three, []Status{{Remaining: 3}, {Remaining: 3, Reset: 2}, {Remaining: 3, Reset: 1}}, 1, 0},
		{"exceeded before few", three, []Status{{Remaining: 0}, {Remaining: 9, Exceeded: true, RetryAfter: 1}, {}}, 1, 1},
		{"the longest wait", three, []Status{{Exceeded: true, RetryAfter: 1}, {Exceeded: true, RetryAfter: 3}, {Exceeded: true, RetryAfter: 2}}, 1, 3},
		{"never is longest", three, []Status{{Exceeded: true, RetryAfter: 5}, {Exceeded: true, RetryAfter: Never}, {Exceeded: true, RetryAfter: 9}}, 1, Never},
		{"the first of equals", three, []Status{{}, {}, {}}, 0, 0},
		{"past the zero rate", []Limit{{}, {Rate: r}}, []Status{unlimited(), {Remaining: 7}}, 1, 0},
	} {
		if got := Tightest(tc.limits, tc.statuses); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
		if got := RetryAfter(tc.statuses); got != tc.retry {
			t.Errorf("%s: retry after %v, want %v", tc.name, got, tc.retry)
		}
	}
}
