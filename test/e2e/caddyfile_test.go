package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: an unknown option, a bad value or a contradiction in the Caddyfile ends "tenantgate validate" with an error
// that names file and line, and starts nothing.
func TestBadCaddyfiles(t *testing.T) {
	t.Parallel()
	// Each option stands on line 3, or the line that is given.
	tests := []struct {
		name, global, site string
		line               int
		says               string
	}{
		{name: "unknown option of the app", global: "nonsense 1", line: 3, says: "nonsense"},
		{name: "unknown option of the registry", global: "registry file:x.db {\nnonsense 1\n}", line: 4, says: "nonsense"},
		{name: "registry URL of a wrong kind", global: "registry postgres://localhost/x", line: 3, says: "scheme"},
		{name: "registry without a URL", global: "registry {\npoll_interval 1s\n}\nregistry file:x.db", line: 6, says: "registry"},
		{name: "bad duration", global: "registry file:x.db {\npoll_interval soon\n}", line: 4, says: "soon"},
		{name: "negative duration", global: "registry file:x.db {\npoll_interval -1s\n}", line: 4, says: "-1s"},
		{name: "bad size", global: "cache {\nsize many\n}", line: 4, says: "many"},
		{name: "size of zero", global: "cache {\nsize 0\n}", line: 4, says: "size"},
		{name: "unknown option of the cache", global: "cache {\ncolour red\n}", line: 4, says: "colour"},
		{name: "bad rate of a plan", global: "plan free {\nrequests 60/fortnight\n}", line: 4, says: "requests"},
		{name: "rate of zero", global: "plan free {\nrequests 0/m\n}", line: 4, says: "0/m"},
		{name: "bad upstream of a plan", global: "plan free {\nupstream ftp://x\n}", line: 4, says: "ftp://x"},
		{name: "unknown option of a plan", global: "plan free {\ncolour red\n}", line: 4, says: "colour"},
		{name: "bad name of a plan", global: "plan UPPER {\nrequests 60/m\n}", line: 3, says: "UPPER"},
		{name: "the same plan twice", global: "plan free {\nrequests 60/m\n}\nplan free {\nrequests 60/m\n}", line: 6, says: "free"},

		{name: "unknown source", site: "identify nonsense", line: 9, says: "nonsense"},
		{name: "no source", site: "errors problem", line: 8, says: "identify"},
		{name: "pattern without {tenant}", site: "identify subdomain app.test", line: 9, says: "{tenant}"},
		{name: "pattern with an unknown placeholder", site: "identify subdomain {tenant}.{colour}.test", line: 9, says: "colour"},
		{name: "subdomain without a pattern", site: "identify subdomain", line: 9, says: "subdomain"},
		{name: "path pattern without {tenant}", site: "identify path /t/{environment}", line: 9, says: "{tenant}"},
		{name: "path pattern without a slash", site: "identify path t/{tenant}", line: 9, says: "/"},
		{name: "unknown option of a source", site: "identify path /t/{tenant} {\nskip\n}", line: 10, says: "skip"},
		{name: "header with a bad name", site: "identify header X:Tenant", line: 9, says: "X:Tenant"},
		{name: "default without a tenant", site: "identify default", line: 9, says: "default"},
		{name: "default with a bad slug", site: "identify default Not_A_Slug", line: 9, says: "valid slug"},
		{name: "unknown agreement", site: "identify domain\nagreement maybe", line: 10, says: "maybe"},
		{name: "unknown way of errors", site: "identify domain\nerrors ignore", line: 10, says: "ignore"},
		{name: "bad reserved name", site: "identify subdomain {tenant}.app.test\nreserve W_W", line: 10, says: "W_W"},
		{name: "unknown directive", site: "identify domain\ncolour red", line: 10, says: "colour"},
		{name: "unknown header set", site: "identify domain\nheaders X-Nonsense", line: 10, says: "X-Nonsense"},
		{name: "unknown thing to inject", site: "identify domain\ninject secrets", line: 10, says: "secrets"},
		{name: "bad exempt path", site: "identify domain\nexempt healthz", line: 10, says: "healthz"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			site := tt.site
			var text string
			if tt.global != "" {
				text = fmt.Sprintf("{\ntenants {\n%s\n}\n}\nhttp://127.0.0.1:9 {\ntenant {\nidentify domain\n}\n}\n", tt.global)
			} else {
				text = fmt.Sprintf("{\ntenants {\nregistry file:x.db\n}\n}\n\nhttp://127.0.0.1:9 {\ntenant {\n%s\n}\n}\n", site)
			}
			path := harness.WriteFile(t, dir, "Caddyfile", text)
			r := harness.Run(t, harness.Command{Args: []string{"validate", "--config", path}, Dir: dir})
			if r.ExitCode == 0 {
				t.Fatal("validate found nothing wrong")
			}
			lines := strings.Split(strings.TrimSpace(r.Output()), "\n")
			last := lines[len(lines)-1]
			if place := fmt.Sprintf("Caddyfile:%d", tt.line); !strings.Contains(last, place) || !strings.Contains(last, tt.says) {
				t.Errorf("the error does not name %s and %q:\n%s", place, tt.says, last)
			}
			if strings.Contains(r.Output(), "goroutine ") {
				t.Errorf("validate panicked:\n%s", r.Output())
			}
		})
	}
}

// Promise: the shortest useful form is two lines, and everything else has a default.
func TestShortestCaddyfile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := harness.WriteFile(t, dir, "Caddyfile", "http://127.0.0.1:9 {\ntenant {\nidentify domain\n}\nreverse_proxy {tenant.upstream}\n}\n")
	for _, command := range []string{"adapt", "validate"} {
		if r := harness.Run(t, harness.Command{Args: []string{command, "--config", path}, Dir: dir}); r.ExitCode != 0 {
			t.Errorf("%s: exit code %d\n%s", command, r.ExitCode, r.Output())
		}
	}
}
