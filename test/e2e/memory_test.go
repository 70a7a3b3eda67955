package e2e_test

import (
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: the binary collects garbage as suits a proxy, unless GOGC says otherwise.
func TestCollectorTarget(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{"": "go_gc_gogc_percent 400\n", "GOGC=150": "go_gc_gogc_percent 150\n"} {
		o := harness.Options{Site: "respond ok"}
		if env != "" {
			o.Env = []string{env}
		}
		g := harness.Start(t, o)
		a, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/metrics"})
		if err != nil || !strings.Contains(a.Body, want) {
			t.Errorf("%q: %v, no %q in the metrics", env, err, want)
		}
	}
}
