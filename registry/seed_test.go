package registry

import (
	"strings"
	"testing"
)

// Promise: what was applied last under a name is known, and nothing else is.
func TestSeed(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
		want := func(name, hash string) {
			t.Helper()
			if got, err := s.Seed(t.Context(), name); err != nil || got != hash {
				t.Errorf("%s: %.8q %v, want %.8q", name, got, err, hash)
			}
		}
		want("tenants.json", "")
		for _, hash := range []string{a, a, b, a} {
			if err := s.SetSeed(t.Context(), "tenants.json", hash); err != nil {
				t.Fatal(err)
			}
			want("tenants.json", hash)
			want("other.json", "")
		}
	})
}
