package e2e_test

import (
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: the binary collects garbage as suits a proxy, rarely and by at least 400 %, unless GOGC says otherwise.
func TestCollectorTarget(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]func(percent float64) bool{
		"":         func(percent float64) bool { return percent >= 400 && percent <= 3200 },
		"GOGC=150": func(percent float64) bool { return percent == 150 },
	} {
		o := harness.Options{Site: "respond ok"}
		if env != "" {
			o.Env = []string{env}
		}
		g := harness.Start(t, o)
		if percent := metricOf(t, g, "go_gc_gogc_percent"); !want(percent) {
			t.Errorf("%q: the heap grows by %v %%", env, percent)
		}
	}
}
