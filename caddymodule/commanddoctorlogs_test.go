package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctorLogs keeps the promise that doctor finds each credential which an access log would hold, and nothing where a
// filter takes it out or Caddy hides it.
func TestDoctorLogs(t *testing.T) {
	const filter = "log {\nformat filter {\nrequest>headers>X-Api-Key delete\n}\n}"
	for _, tt := range []struct {
		name, global, log, sources string
		want                       []string // level, then parts of the detail; nil: no finding
	}{
		{"no access log", "", "", "identify api_key", nil},
		{"nothing secret", "", "log", "identify path /t/{tenant}", nil},
		{"what Caddy hides", "", "log", "identify session {\nsecret abcdefghijklmnopqrstuvwxyz012345\n}", nil},
		{"an API key", "", "log", "identify api_key", []string{"warning", "request>headers>X-Api-Key in the log default"}},
		{"an API key's own header", "", "log", "identify api_key X-Secret", []string{"warning", "X-Secret"}},
		{"filtered", "", filter, "identify api_key", []string{"ok"}},
		{"another header is filtered", "", filter, "identify api_key X-Secret", []string{"warning", "X-Secret in the log log0"}},
		{"a filter below another encoder", "", "log {\nformat append {\nwrap filter {\nrequest>headers>X-Api-Key delete\n}\na b\n}\n}", "identify api_key", []string{"ok"}},
		{"thrown away", "", "log {\noutput discard\n}", "identify api_key", []string{"ok"}},
		{"a log of its own takes all", "log all {\ninclude http.log\n}", filter, "identify api_key", []string{"warning", "in the log all"}},
		{"tokens in queries", "", "log", "identify jwt {\nsecret abcdefghijklmnopqrstuvwxyz012345\nfrom query token\n}", []string{"warning", "request>uri"}},
		{"tokens of WebSockets", "", "log", "identify jwt {\nsecret abcdefghijklmnopqrstuvwxyz012345\nfrom subprotocol\n}", []string{"warning", "Sec-Websocket-Protocol"}},
		{"all credentials are logged", "servers {\nlog_credentials\n}", "log", "identify jwt {\nsecret abcdefghijklmnopqrstuvwxyz012345\n}", []string{"warning", "Authorization"}},
		{"all cookies are logged", "servers {\nlog_credentials\n}", "log", "identify session {\nsecret abcdefghijklmnopqrstuvwxyz012345\n}", []string{"warning", "Cookie"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "Caddyfile")
			if err := os.WriteFile(path, []byte(fmt.Sprintf("{\n%s\n}\nhttp://a.test {\n%s\nroute {\ntenant {\n%s\n}\nrespond ok\n}\n}\n", tt.global, tt.log, tt.sources)), 0o600); err != nil {
				t.Fatal(err)
			}
			config, err := loadGatewayConfig(path, "")
			if err != nil {
				t.Fatal(err)
			}
			d := &doctor{config: config}
			d.logs()
			if tt.want == nil {
				if len(d.Findings) > 0 {
					t.Errorf("%+v", d.Findings)
				}
				return
			}
			if len(d.Findings) != 1 || d.Findings[0].Level != tt.want[0] {
				t.Fatalf("%+v, want %s", d.Findings, tt.want)
			}
			for _, part := range tt.want[1:] {
				if !strings.Contains(d.Findings[0].Detail, part) {
					t.Errorf("%q lacks %q", d.Findings[0].Detail, part)
				}
			}
			if (d.Findings[0].Advice == "") != (tt.want[0] == "ok") {
				t.Errorf("advice %q", d.Findings[0].Advice)
			}
		})
	}
}
