package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: a reserved name is no tenant and every other name is one, however many names are reserved, in whatever order and
// however often each is given.
func TestReservedNames(t *testing.T) {
	for _, count := range []int{0, 1, 8, 9, 100} {
		var reserved []string
		for i := range count {
			reserved = append(reserved, fmt.Sprintf("name%03d", (i*37)%count), fmt.Sprintf("name%03d", i))
		}
		if count > 0 {
			reserved = append(reserved, strings.Repeat("x", registry.MaxSlugLength), "y")
		}
		s, err := NewSubdomain([]string{"{tenant}.app.example.com"}, reserved)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(name string, want bool) {
			y, err := s.Identify(&Request{Host: name + ".app.example.com"})
			if got := y.empty(); err != nil || got != want {
				t.Errorf("%d names: %s is reserved: %t, not %t, %v", count, name, got, want, err)
			}
		}
		for i := range 120 {
			ask(fmt.Sprintf("name%03d", i), i < count)
		}
		ask(strings.Repeat("x", registry.MaxSlugLength), count > 0)
		ask(strings.Repeat("z", registry.MaxSlugLength), false)
		ask("y", count > 0)
		ask("z", false)
	}
}
