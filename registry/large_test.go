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
	"strings"
	"testing"
	"time"
)

// writeLarge writes an import file with so many tenants, and so many environments of each: every second tenant has
// upstreams of its own, every tenth a domain, every hundredth quotas. Ids are left out.
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
// number of tenants, TENANTGATE_LARGE_ENVIRONMENTS that of environments of each (1), TENANTGATE_LARGE_BACKEND file,
// http or ws (file):
//
//	TENANTGATE_LARGE=1000000 go test -run TestLarge -v -timeout 30m ./registry
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
	backend := backends()[0]
	for _, b := range backends() {
		if b.name == os.Getenv("TENANTGATE_LARGE_BACKEND") {
			backend = b
		}
	}
	s := migrated(t, backend.open(t))
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
		t.Logf("%s import: %s (checking %s), heap %d MB, resident peak %s, %+v", what, time.Since(begin).Round(time.Millisecond),
			checked.Sub(begin).Round(time.Millisecond), peak>>20, residentPeak(), report)
	}
	if info, err := os.Stat(s.target.file); err == nil {
		t.Logf("registry: %d MB", info.Size()>>20)
	}
	for _, kind := range []Kind{KindSlug, KindHost} {
		var d []time.Duration
		lookups := 20000
		if s.target.file == "" {
			lookups = 1000 // over a network each takes longer
		}
		for range lookups {
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

// residentPeak is the most memory that the process ever had (proc(5), VmHWM).
func residentPeak() string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(peak)
		}
	}
	return "unknown"
}
