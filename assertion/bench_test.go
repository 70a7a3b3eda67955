package assertion

import "testing"

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
				mustToken(b, s, f, noon)
			}
		})
		b.Run(name+",parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					mustToken(b, s, f, noon)
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
