package registry

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// writeLarge writes an import file with so many tenants of one environment each: every second has an upstream of its own, every
// tenth a domain, every hundredth quotas. Ids are left out.
func writeLarge(w io.Writer, tenants, environments int) error {
	b := bufio.NewWriterSize(w, 1<<20)
	fmt.Fprint(b, "{\"plans\": [{\"name\": \"free\", \"quotas\": {\"apiRateLimit\": 60}, \"upstreams\": [\"127.0.0.1:9001\"]}],\n\"tenants\": [\n")
	for i := range tenants {
		if i > 0 {
			fmt.Fprint(b, ",\n")
		}
		fmt.Fprintf(b, `{"slug": %q, "name": "Tenant %d", "plan": "free"`, largeSlug(i), i)
		if i%100 == 0 {
			fmt.Fprint(b, `, "quotas": {"apiRateLimit": 600, "burst": 100}`)
		}
		fmt.Fprint(b, `, "environments": [`)
		for e := range environments {
			if e > 0 {
				fmt.Fprint(b, ", ")
			}
			fmt.Fprintf(b, `{"slug": "e%d", "isDefault": %t, "region": "eu-west-1"`, e, e == 0)
			if i%2 == 0 {
				fmt.Fprintf(b, `, "upstreams": ["10.%d.%d.%d:8080"]`, i>>16&255, i>>8&255, i&255)
			}
			if i%10 == 0 && e == 0 {
				fmt.Fprintf(b, `, "domains": ["app%d.example.com"]`, i)
			}
			fmt.Fprint(b, "}")
		}
		fmt.Fprint(b, "]}")
	}
	fmt.Fprint(b, "\n]}\n")
	return b.Flush()
}

// largeSlug spreads slugs over the index, as names do that people choose.
func largeSlug(i int) string {
	return "t" + strconv.FormatUint(uint64(uint32(i)*2654435761), 36) + "-" + strconv.Itoa(i)
}

// TestLarge measures an import of many tenants and lookups in the registry that it makes. TENANTGATE_LARGE is the
// number of tenants; TENANTGATE_LARGE_ENVIRONMENTS that of environments of each (1).
func TestLarge(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("TENANTGATE_LARGE"))
	if n == 0 {
		t.Skip("a measurement: set TENANTGATE_LARGE to a number of tenants")
	}
	environments := 1
	if s := os.Getenv("TENANTGATE_LARGE_ENVIRONMENTS"); s != "" {
		environments, _ = strconv.Atoi(s)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "large.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeLarge(f, n, environments); err != nil {
		t.Fatal(err)
	}
	info, _ := f.Stat()
	f.Close()
	t.Logf("file: %d MB", info.Size()>>20)
	s := migrated(t, Options{URL: "file:" + filepath.Join(dir, "registry.db")})
	for _, what := range []string{"first", "second"} {
		begin := time.Now()
		var checked time.Time
		var peak uint64
		report, err := s.ImportFile(t.Context(), path, ImportOptions{Progress: func(p ImportProgress) {
			if p.Phase != PhaseChecking && checked.IsZero() {
				checked = time.Now()
			}
			if p.Tenants%50000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapSys)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s import: %s (checking %s), heap %d MB, resident peak %s, %+v", what, time.Since(begin).Round(time.Millisecond), checked.Sub(begin).Round(time.Millisecond), peak>>20, residentPeak(), report)
	}
	info, _ = os.Stat(filepath.Join(dir, "registry.db"))
	t.Logf("registry: %d MB", info.Size()>>20)
	for _, kind := range []Kind{KindSlug, KindHost} {
		var d []time.Duration
		for range 20000 {
			i := rand.IntN(n/10) * 10
			ref := Reference{Kind: kind, Key: largeSlug(i)}
			if kind == KindHost {
				ref.Key = fmt.Sprintf("app%d.example.com", i)
			}
			begin := time.Now()
			if _, err := s.Resolve(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			d = append(d, time.Since(begin))
		}
		slices.Sort(d)
		t.Logf("lookup by %s: p50 %s, p99 %s, p99.9 %s, max %s", kind, d[len(d)/2], d[len(d)*99/100], d[len(d)*999/1000], d[len(d)-1])
	}
}

func residentPeak() string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range slices.Values(splitLines(string(text))) {
		if len(line) > 6 && line[:6] == "VmHWM:" {
			return line[6:]
		}
	}
	return "?"
}

func splitLines(s string) (lines []string) {
	for len(s) > 0 {
		i := 0
		for i < len(s) && s[i] != '\n' {
			i++
		}
		lines = append(lines, s[:i])
		s = s[min(i+1, len(s)):]
	}
	return lines
}
