package router

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"
)

// TestRefuseQuota keeps the promise that a refusal over quota says what was exceeded and how long to wait, that the same is
// the same value, and that nothing of the caller's is kept.
func TestRefuseQuota(t *testing.T) {
	policies := []string{"requests", "day"}
	first := RefuseQuota(Exceeded{"maxApiCallsPerDay", 1000, 1000, policies}, 1500*time.Millisecond)
	if first.RetryAfter != 2*time.Second || first.Exceeded.Limit != 1000 || len(first.Exceeded.Policies) != 2 || refuseQuotaExceeded.Exceeded != nil {
		t.Fatalf("%+v", first)
	}
	if again := RefuseQuota(Exceeded{"maxApiCallsPerDay", 1000, 1000, []string{"requests", "day"}}, 2*time.Second); again != first {
		t.Error("the same is not the same value")
	}
	policies[0] = "other"
	if first.Exceeded.Policies[0] != "requests" {
		t.Error("the caller's list is kept")
	}
	for _, c := range []struct {
		exceeded   Exceeded
		retryAfter time.Duration
	}{
		{Exceeded{"maxApiCallsPerDay", 1000, 1000, []string{"requests", "day"}}, 3 * time.Second},
		{Exceeded{"maxApiCallsPerDay", 1000, 1000, []string{"requests", "day"}}, -1},
		{Exceeded{"maxApiCallsPerDay", 999, 1000, []string{"requests", "day"}}, 2 * time.Second},
		{Exceeded{"maxApiCallsPerDay", 1000, 1001, []string{"requests", "day"}}, 2 * time.Second},
		{Exceeded{"maxApiCallsPerDay", 1000, 1000, []string{"requests", "key"}}, 2 * time.Second},
		{Exceeded{"maxApiCallsPerDay", 1000, 1000, nil}, 2 * time.Second},
		{Exceeded{"apiRateLimit", 1000, 1000, []string{"requests", "day"}}, 2 * time.Second},
	} {
		r := RefuseQuota(c.exceeded, c.retryAfter)
		if r.RetryAfter != c.retryAfter || !reflect.DeepEqual(*r.Exceeded, c.exceeded) {
			t.Errorf("%+v, %s gives %+v, %s", c.exceeded, c.retryAfter, r.Exceeded, r.RetryAfter)
		}
	}
}

// TestRefuseQuotaAtOnce keeps the promise that whoever is refused at the same time as others is told of their own quota:
// there are more kinds here than are kept.
func TestRefuseQuotaAtOnce(t *testing.T) {
	var wait sync.WaitGroup
	for seed := range uint64(4) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for range 1000 {
				n := random.Int64N(4 << quotaRefusalBits)
				r := RefuseQuota(Exceeded{Quota: "apiRateLimit", Usage: n, Limit: n, Policies: []string{"requests"}}, time.Duration(n%60)*time.Second)
				var said struct{ CurrentUsage, Limit int64 }
				if err := json.Unmarshal(r.AppendProblem(nil, "/"), &said); err != nil || said.CurrentUsage != n || said.Limit != n ||
					r.RetryAfter != time.Duration(n%60)*time.Second {
					t.Errorf("%d gives %+v, %s, %v", n, said, r.RetryAfter, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// TestRoundUp keeps the promise that who waits as long as told has waited long enough.
func TestRoundUp(t *testing.T) {
	for _, c := range []struct{ from, to time.Duration }{
		{0, 0}, {1, time.Second}, {time.Second, time.Second}, {time.Second + 1, 2 * time.Second}, {-1, -1}, {math.MaxInt64, math.MaxInt64},
	} {
		if got := roundUp(c.from); got != c.to {
			t.Errorf("%s becomes %s, not %s", c.from, got, c.to)
		}
	}
}

// TestWording keeps the promise that a problem worded beforehand is, to the letter, the one that is worded now; and that a
// copy that says something else is worded anew.
func TestWording(t *testing.T) {
	all := append([]*Refusal{RefuseQuota(Exceeded{"apiRateLimit", 20, 20, []string{"requests", "environment"}}, time.Second)}, refusals[:]...)
	for _, r := range all {
		plain := *r
		plain.words = nil
		for _, instance := range []string{"", "/a\"<"} {
			if got, want := string(r.AppendProblem(nil, instance)), string(plain.AppendProblem(nil, instance)); r.words == nil || got != want {
				t.Errorf("%s: got  %s\nwant %s", r.Code, got, want)
			}
		}
		for _, change := range []func(*Refusal){
			func(r *Refusal) { r.Status++ },
			func(r *Refusal) { r.Code += "x" },
			func(r *Refusal) { r.Title += "x" },
			func(r *Refusal) { r.Detail += "x" },
			func(r *Refusal) { r.Exceeded = &Exceeded{Quota: "other"} },
		} {
			other := *r
			change(&other)
			plain := other
			plain.words = nil
			if got, want := string(other.AppendProblem(nil, "")), string(plain.AppendProblem(nil, "")); got != want {
				t.Errorf("changed: got  %s\nwant %s", got, want)
			}
		}
	}
}
