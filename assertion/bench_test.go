package assertion

import (
	"runtime"
	"strconv"
	"testing"
	"time"
)

func benchFacts() map[string]Facts {
	return map[string]Facts{
		"tenant": {Resolved: resolved(1, 1)},
		"user":   {Resolved: resolved(1, 1), User: "0190a000-0000-7000-8000-000000000001", Roles: []string{"env_user", "billing"}},
	}
}

// BenchmarkToken is a token that is there.
func BenchmarkToken(b *testing.B) {
	s := testSigner(b, Options{})
	for name, f := range benchFacts() {
		mustToken(b, s, f, noon)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Token(f, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+",parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Token(f, noon); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkSign is what the first request of an environment or a user pays, and each renewal in the background.
func BenchmarkSign(b *testing.B) {
	s := testSigner(b, Options{})
	for name, f := range benchFacts() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.sign(f, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkKept is what 100,000 tokens of users take: bytes of live heap each, and the time of one round of the loop in
// the background that finds nothing to do.
func BenchmarkKept(b *testing.B) {
	const tokens = DefaultSize
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := testSigner(b, Options{Keys: secretSet(b)})
	r := resolved(1, 1)
	for n := range tokens {
		mustToken(b, s, Facts{Resolved: r, User: "user-" + strconv.Itoa(n), Roles: []string{"env_user"}}, noon)
	}
	kept := heap() - before
	for b.Loop() {
		s.Renew(noon.Add(time.Second))
	}
	b.ReportMetric(float64(kept)/tokens, "B/token")
	if s.Stats().Kept != tokens {
		b.Fatal("some tokens were not kept")
	}
}
