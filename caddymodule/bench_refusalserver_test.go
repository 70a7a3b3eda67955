package caddymodule

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/tenantgate/tenantgate/internal/collector"
)

// servedRefusal is a way to have a request refused by a whole Caddy: by the gateway, and by a site whose respond gives the
// same answer.
type servedRefusal struct {
	name, host, status string
	port, samePort     string
}

// bareRefusal is the port of a site that answers with `respond 429` and says no more.
const bareRefusal = "81"

// servedRefusals starts a Caddy, and another with what the first has answered in its configuration.
func servedRefusals(tb testing.TB) []servedRefusal {
	tb.Helper()
	dir := tb.TempDir()
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		tb.Setenv(name, dir)
	}
	tenants := filepath.Join(dir, "tenants.json")
	if err := os.WriteFile(tenants, []byte(`{"plans": [{"name": "free", "quotas": {"apiRateLimit": 1, "burst": 1}}], "tenants": [
		{"slug": "globex", "name": "Globex", "plan": "free"},
		{"slug": "initech", "name": "Initech", "plan": "free", "status": "suspended"}
	]}`), 0o600); err != nil {
		tb.Fatal(err)
	}
	cases := []servedRefusal{
		{"429", "globex.app.test", "429", "82", "83"},
		{"403", "initech.app.test", "403", "82", "84"},
		{"404", "nobody.app.test", "404", "82", "85"},
	}
	sites := memorySite(bareRefusal, "respond 429") +
		memorySite("82", "tenant {\nidentify subdomain {tenant}.app.test\n}\nrespond OK")
	global := fmt.Sprintf("tenants {\nregistry file:%s {\nimport_file %s\n}\n}\n", filepath.Join(dir, "tenants.db"), tenants)
	loadMemory(tb, global, sites)
	tb.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			tb.Error(err)
		}
	})
	memoryAsk(tb, "82", cases[0].host, "200", 1) // uses the limit up
	for _, c := range cases {
		sites += memorySite(c.samePort, sameAnswer(tb, memoryAsk(tb, c.port, c.host, c.status, 1)))
	}
	loadMemory(tb, global, sites)
	return cases
}

// memorySite is a site of a Caddyfile.
func memorySite(port, content string) string {
	return "http://:" + port + " {\nbind " + memoryNetwork + "/refusals\n" + content + "\n}\n"
}

// sameAnswer returns directives that give an answer word for word, but for what servers add by themselves.
func sameAnswer(tb testing.TB, answer []byte) string {
	tb.Helper()
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		tb.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	_ = res.Body.Close()
	var b strings.Builder
	b.WriteString("header {\n")
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		if name != "Content-Length" && name != "Date" && name != "Server" {
			fmt.Fprintf(&b, "%s `%s`\n", name, res.Header.Get(name))
		}
	}
	fmt.Fprintf(&b, "}\nrespond `%s` %d", body, res.StatusCode)
	return b.String()
}

// loadMemory starts a configuration, or reloads.
func loadMemory(tb testing.TB, global, sites string) {
	tb.Helper()
	text := "{\nadmin off\nauto_https off\npersist_config off\nlog {\nlevel ERROR\n}\n" + global + "}\n" + sites
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		tb.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkRefusalServer is what a refusal costs a whole server but for the kernel: reading the request, Caddy, the answer.
// It asks a bare respond, the gateway, and a respond that says the same in turn. ns are for an answer of the gateway's; ÷bare
// and ÷same are the medians of the ratios within a turn. The collector's target is that of cmd/tenantgate.
func BenchmarkRefusalServer(b *testing.B) {
	defer collector.Pace(400, 128<<20)()
	cases := servedRefusals(b)
	const answers = 200
	ask := func(port string, c *servedRefusal) float64 {
		begin := time.Now()
		memoryAsk(b, port, c.host, c.status, answers)
		return float64(time.Since(begin).Nanoseconds()) / answers
	}
	times, toBare, toSame := make([][]float64, len(cases)), make([][]float64, len(cases)), make([][]float64, len(cases))
	for b.Loop() {
		bare := ask(bareRefusal, &cases[0])
		for i := range cases {
			own, same := ask(cases[i].port, &cases[i]), ask(cases[i].samePort, &cases[i])
			times[i], toBare[i], toSame[i] = append(times[i], own), append(toBare[i], own/bare), append(toSame[i], own/same)
		}
	}
	for i, c := range cases {
		for unit, values := range map[string][]float64{"-ns": times[i], "÷bare": toBare[i], "÷same": toSame[i]} {
			slices.Sort(values)
			b.ReportMetric(values[len(values)/2], c.name+unit)
		}
	}
}
