package registry

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// BenchmarkLarge measures an import of many tenants and lookups in the registry that it makes. TENANTGATE_LARGE is the
// number of tenants (20,000), TENANTGATE_LARGE_ENVIRONMENTS that of environments of each (1), TENANTGATE_LARGE_BACKEND
// file, http or ws (file):
//
//	TENANTGATE_LARGE=1000000 go test -run '^$' -bench Large -benchtime 1x -timeout 30m ./registry
func BenchmarkLarge(b *testing.B) {
	n, environments := number(b, "TENANTGATE_LARGE", 20000), number(b, "TENANTGATE_LARGE_ENVIRONMENTS", 1)
	backend := backends()[0]
	for _, other := range backends() {
		if other.name == os.Getenv("TENANTGATE_LARGE_BACKEND") {
			backend = other
		}
	}
	path := filepath.Join(b.TempDir(), "large.json")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(writeLarge(f, n, environments), f.Close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := migrated(b, backend.open(b))
		measureImport(b, s, path, "first", float64(n*environments))
		measureImport(b, s, path, "unchanged", float64(n*environments))
		if info, err := os.Stat(s.target.file); err == nil {
			b.ReportMetric(float64(info.Size()>>20), "MB-registry")
		}
		lookups := 20000
		if s.target.file == "" {
			lookups = 1000 // over a network each takes longer
		}
		measureLookups(b, s, "slug", lookups, func() Reference { return Reference{Kind: KindSlug, Key: largeSlug(rand.IntN(n))} })
		measureLookups(b, s, "host", lookups, func() Reference {
			return Reference{Kind: KindHost, Key: fmt.Sprintf("app%d.example.com", rand.IntN((n+9)/10)*10)}
		})
		b.Logf("the process had at most %s of memory", residentPeak())
	}
}

func number(b *testing.B, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func measureImport(b *testing.B, s *Store, path, what string, environments float64) {
	begin := time.Now()
	report, err := s.ImportFile(b.Context(), path, ImportOptions{})
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(begin)
	b.Logf("%s import: %s, %+v", what, took.Round(time.Millisecond), report)
	b.ReportMetric(environments/took.Seconds(), what+"-environments/s")
}

func measureLookups(b *testing.B, s *Store, what string, n int, next func() Reference) {
	took := make([]time.Duration, n)
	for i := range took {
		ref := next()
		begin := time.Now()
		if _, err := s.Resolve(b.Context(), ref); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	b.Logf("lookup by %s: p50 %s, p99 %s, p99.9 %s, max %s", what, took[n/2], took[n*99/100], took[n*999/1000], took[n-1])
	b.ReportMetric(float64(took[n*99/100].Microseconds()), what+"-p99-µs")
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
