package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// check sends every row and returns all credentials that it presented.
func (b *badInputs) check(t *testing.T, g *harness.Gateway) (presented []string) {
	t.Helper()
	for _, tt := range b.rows {
		before := len(g.Log(t))
		answer := g.Send(t, onSite(tt.site, tt.ask))
		presented = append(presented, presentedBy(tt.ask)...)
		if tt.code == "" {
			if answer.Status != tt.status {
				t.Errorf("%s: %d %s, want %d", tt.name, answer.Status, answer.Body, tt.status)
			}
			continue
		}
		if answer.Status != tt.status {
			t.Errorf("%s: %d %s, want %d %s", tt.name, answer.Status, answer.Body, tt.status, tt.code)
			continue
		}
		p := answer.Problem(t)
		if p.Code != tt.code {
			t.Errorf("%s: %d %s, want %d %s", tt.name, answer.Status, p.Code, tt.status, tt.code)
		}
		if got := answer.Header.Get("WWW-Authenticate"); strings.HasPrefix(got, "Bearer") != (tt.status == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", tt.name, got)
		}
		if answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the refusal may be kept by a cache", tt.name)
		}
		if tt.status == 503 && answer.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", tt.name)
		}
		said := strings.ToLower(fmt.Sprint(answer.Body, answer.Header))
		for _, internal := range append(presentedBy(tt.ask), "127.0.0.1", "acme", "globex", acmeID, acmeProdID, "sys_", "signature", "expired", "checksum", "jwks", "subdomain") {
			if strings.Contains(said, strings.ToLower(internal)) {
				t.Errorf("%s: the answer tells %.20q: %s", tt.name, internal, answer.Body)
			}
		}
		// The line is written before the answer is.
		if log := refusedLines(g.Log(t)[before:], tt.code); !strings.Contains(log, tt.why) {
			t.Errorf("%s: the log does not say %q: %s", tt.name, tt.why, log)
		}
	}
	return presented
}

// refusedLines are the lines of the log that say that a request was refused with this code, or that its token could not
// be checked.
func refusedLines(log, code string) string {
	var lines strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"msg":"refused"`) && strings.Contains(line, `"code":"`+code+`"`) ||
			code == "keys_unavailable" && strings.Contains(line, `"msg":"a token could not be checked"`) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// presentedBy are the credentials in a request, as far as they are long enough to be told from other text.
func presentedBy(ask harness.Ask) (all []string) {
	for _, name := range []string{"Authorization", "Cookie", "X-API-Key"} {
		for _, value := range strings.Split(strings.TrimPrefix(ask.Header[name], "Bearer "), "; ") {
			_, value, _ = strings.Cut("="+value, "=")
			if i := strings.LastIndexByte(value, '='); i >= 0 {
				value = value[i+1:]
			}
			if len(value) >= 24 {
				all = append(all, value)
			}
		}
	}
	return all
}
