package registry

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// benchRegistry is a file with so many tenants, each with two environments; every tenth has a domain.
func benchRegistry(b *testing.B, tenants int) *Store {
	b.Helper()
	s := migrated(b, Options{URL: "file:" + filepath.Join(b.TempDir(), "registry.db")})
	var text bytes.Buffer
	if err := writeLarge(&text, tenants, 2); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Import(b.Context(), &text, ImportOptions{}); err != nil {
		b.Fatal(err)
	}
	run(b, s, `INSERT INTO sys_api_key (id, environment_id, name, key_hash) SELECT id, id, 'k', substr(hex(randomblob(32)), 1, 0) || lower(printf('%064x', rowid)) FROM sys_environment`)
	run(b, s, `INSERT INTO sys_session (id, token_hash, user_id, active_environment_id, expires_at) SELECT id, lower(printf('%064x', rowid)), 'u', id, '2099-01-01T00:00:00Z' FROM sys_environment`)
	return s
}

// BenchmarkResolve is the cold lookup of each kind in a file of 20,000 environments; BenchmarkLarge measures it in a file of
// any size.
func BenchmarkResolve(b *testing.B) {
	const tenants = 10000
	s := benchRegistry(b, tenants)
	ids := make([]string, 0, tenants)
	environments := make([]string, 0, tenants)
	for i := range 100 {
		r, err := s.Resolve(b.Context(), Reference{Kind: KindSlug, Key: largeSlug(i)})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, r.Tenant.ID.String())
		environments = append(environments, r.Environment.ID.String())
	}
	for _, test := range []struct {
		name string
		ref  func(i int) Reference
	}{
		{"slug", func(i int) Reference { return Reference{Kind: KindSlug, Key: largeSlug(i * 97 % tenants)} }},
		{"slug_environment", func(i int) Reference {
			return Reference{Kind: KindSlug, Key: largeSlug(i * 97 % tenants), Environment: "e1"}
		}},
		{"id", func(i int) Reference { return Reference{Kind: KindTenantID, Key: ids[i%len(ids)]} }},
		{"environment_id", func(i int) Reference { return Reference{Kind: KindEnvironmentID, Key: environments[i%len(ids)]} }},
		{"host", func(i int) Reference {
			return Reference{Kind: KindHost, Key: fmt.Sprintf("app%d.example.com", i*970%tenants)}
		}},
		{"api_key", func(i int) Reference {
			return Reference{Kind: KindAPIKey, Key: fmt.Sprintf("%064x", 1+i*97%tenants)}
		}},
		{"session", func(i int) Reference {
			return Reference{Kind: KindSession, Key: fmt.Sprintf("%064x", 1+i*97%tenants)}
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Resolve(b.Context(), test.ref(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Resolve(b.Context(), Reference{Kind: KindSlug, Key: "nobody"}); err == nil {
				b.Fatal("found")
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := s.Resolve(b.Context(), Reference{Kind: KindSlug, Key: largeSlug(i * 97 % tenants)}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkChangesIdle is what a poll costs when nothing has happened.
func BenchmarkChangesIdle(b *testing.B) {
	s := benchRegistry(b, 1000)
	c, err := s.Changes(b.Context(), 0, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Changes(b.Context(), c.Newest, 1000); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkImport is a first import of 2,000 tenants with two environments each into a file, and a second one that
// changes nothing.
func BenchmarkImport(b *testing.B) {
	const tenants = 2000
	var text bytes.Buffer
	if err := writeLarge(&text, tenants, 2); err != nil {
		b.Fatal(err)
	}
	document := text.String()
	for _, again := range []bool{false, true} {
		name := map[bool]string{false: "first", true: "unchanged"}[again]
		b.Run(name, func(b *testing.B) {
			var s *Store
			for i := 0; b.Loop(); i++ {
				if !again || i == 0 {
					b.StopTimer()
					s = migrated(b, Options{URL: "file:" + filepath.Join(b.TempDir(), fmt.Sprintf("registry%d.db", i))})
					if again {
						importText(b, s, document)
					}
					b.StartTimer()
				}
				importText(b, s, document)
			}
			b.ReportMetric(float64(2*tenants*b.N)/b.Elapsed().Seconds(), "environments/s")
		})
	}
}

// BenchmarkCheck is the validation of a file without a registry.
func BenchmarkCheck(b *testing.B) {
	var text bytes.Buffer
	if err := writeLarge(&text, 2000, 2); err != nil {
		b.Fatal(err)
	}
	document := text.String()
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDocument(strings.NewReader(document)); err != nil {
			b.Fatal(err)
		}
	}
}
