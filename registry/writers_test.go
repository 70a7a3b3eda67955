package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Promise: imports of the same file at once do it together once, and imports of different files all get in, without an
// error for anyone.
func TestImportConcurrently(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			o := b.open(t)
			stores := make([]*Store, 4)
			for i := range stores {
				stores[i] = migrated(t, o)
			}
			errs := make([]error, len(stores))
			var wg sync.WaitGroup
			for i, s := range stores {
				wg.Go(func() {
					for _, text := range []string{designDocument, fmt.Sprintf(`{"tenants": [{"slug": "own-%d"}, {"slug": "common"}]}`, i)} {
						if _, err := s.Import(t.Context(), strings.NewReader(text), ImportOptions{}); err != nil {
							errs[i] = err
						}
					}
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			want := "acme(production*) common(production*) own-0(production*) own-1(production*) own-2(production*) own-3(production*)"
			if got := state(t, stores[0]); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if n := one[int](t, stores[0], `SELECT count(*) FROM sys_audit_log WHERE action = 'organization.create'`); n != 6 {
				t.Errorf("%d tenants were created, want 6", n)
			}
		})
	}
}

// Promise: what another writer changes between comparing and writing is never lost: the import compares again.
func TestImportAgainstWriters(t *testing.T) {
	for _, b := range backends()[1:] { // a file is locked meanwhile
		t.Run(b.name, func(t *testing.T) {
			s := migrated(t, b.open(t))
			importText(t, s, `{"tenants": [{"slug": "a", "name": "first"}, {"slug": "b"}]}`)
			comparisons := 0
			report, err := s.Import(t.Context(), strings.NewReader(`{"tenants": [{"slug": "a", "plan": "pro"}, {"slug": "b", "environments": [{"slug": "production", "domains": ["b.example"]}]}, {"slug": "c"}]}`),
				ImportOptions{Progress: func(p ImportProgress) {
					if p.Phase != PhaseComparing {
						return
					}
					switch comparisons++; comparisons {
					case 1: // a whole row would be written over this
						run(t, s, `UPDATE sys_organization SET name = 'second' WHERE slug = 'a'`)
					case 2: // and this one is in the way
						run(t, s, `INSERT INTO sys_organization (id, slug, name) VALUES (?1, 'c', 'theirs')`, idGlobex)
					}
				}})
			if err != nil {
				t.Fatal(err)
			}
			if comparisons != 3 || report.Tenants != (ImportCount{Updated: 1, Unchanged: 2}) || report.Environments.Created != 1 {
				t.Errorf("%d comparisons, %+v", comparisons, report)
			}
			if got := one[string](t, s, `SELECT name || ' ' || plan FROM sys_organization WHERE slug = 'a'`); got != "second pro" {
				t.Errorf("got %s", got)
			}
			if got := one[string](t, s, `SELECT name || ' ' || id FROM sys_organization WHERE slug = 'c'`); got != "theirs "+idGlobex {
				t.Errorf("got %s", got)
			}
			if n := one[int](t, s, `SELECT (SELECT count(*) FROM sys_import) + (SELECT count(*) FROM sys_import_chunk)`); n != 0 {
				t.Errorf("%d staged rows left", n)
			}
		})
	}
}

// Promise: an import that conflicts with what another writer has just written is refused in the end, and writes nothing.
func TestImportLosesSlug(t *testing.T) {
	for _, b := range backends()[1:2] {
		t.Run(b.name, func(t *testing.T) {
			s := migrated(t, b.open(t))
			_, err := s.Import(t.Context(), strings.NewReader(`{"tenants": [{"slug": "z"}, {"slug": "a", "id": "`+idAcme+`"}]}`), ImportOptions{Progress: func(p ImportProgress) {
				if p.Phase == PhaseComparing {
					_ = try(t, s, `INSERT INTO sys_organization (id, slug, name) VALUES (?1, 'a', 'theirs')`, idGlobex) // once
				}
			}})
			var at *PlaceError
			if !errors.As(err, &at) || at.Place != "tenants[1].slug" {
				t.Errorf("got %v", err)
			}
			if n := one[int](t, s, `SELECT count(*) FROM sys_organization`); n != 1 {
				t.Errorf("%d tenants", n)
			}
		})
	}
}

// Promise: readers see all of an import or nothing of it, while it runs and after.
func TestImportIsAtomicForReaders(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		const n = 600 // several batches
		document := func(region string) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, `{"slug": "t%d", "environments": [{"slug": "production", "region": %q}]},`, i, region)
			}
			return `{"tenants": [` + strings.TrimSuffix(b.String(), ",") + `]}`
		}
		importText(t, s, document("old"))
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				got := one[string](t, s, `SELECT group_concat(DISTINCT region) FROM sys_environment`)
				if got != "old" && got != "new" {
					t.Errorf("a reader sees %s", got)
					return
				}
			}
		})
		importText(t, s, document("new"))
		stop()
		wg.Wait()
	})
}

// crashURL tells the child process of TestImportCrash which registry to import into.
const crashURL, crashToken, crashFile = "TENANTGATE_TEST_CRASH_URL", "TENANTGATE_TEST_CRASH_TOKEN", "TENANTGATE_TEST_CRASH_FILE"

// TestMain turns the test binary into the child process of TestImportCrash or TestLifecycleCrash when it is asked to.
func TestMain(m *testing.M) {
	if url := os.Getenv(crashURL); url != "" {
		os.Exit(crash(url))
	}
	if url := os.Getenv(churnURL); url != "" {
		os.Exit(churn(url, os.Getenv(churnSeed)))
	}
	os.Exit(m.Run())
}

// crash imports a file and writes a line for each batch, so that it can be killed in the middle.
func crash(url string) int {
	s, err := Open(Options{URL: url, AuthToken: os.Getenv(crashToken)})
	if err == nil {
		err = s.Migrate(context.Background())
	}
	if err == nil {
		_, err = s.ImportFile(context.Background(), os.Getenv(crashFile), ImportOptions{Progress: func(p ImportProgress) {
			fmt.Println(p.Phase, p.Tenants)
		}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("done")
	return 0
}

// Promise: an import that is killed at any moment leaves either nothing in the registry or everything, and the next
// import completes it.
func TestImportCrash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large.json")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	const tenants = 2000
	if err := errors.Join(writeLarge(f, tenants, 1), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, b := range backends()[:2] {
		t.Run(b.name, func(t *testing.T) {
			o := b.open(t)
			s := migrated(t, o)
			importText(t, s, designDocument)
			live := func() string {
				return one[string](t, s, `SELECT (SELECT count(*) FROM sys_organization) || ' ' || (SELECT count(*) FROM sys_environment) || ' ' || (SELECT count(*) FROM sys_domain)
 || ' ' || (SELECT count(*) FROM sys_change) || ' ' || (SELECT count(*) FROM sys_audit_log) || ' ' || (SELECT count(*) FROM sys_guard)`)
			}
			before := live()
			killed := 0
			for _, lines := range []int{4, 7, 10, 12, 13} {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), crashURL+"="+o.URL, crashToken+"="+o.AuthToken, crashFile+"="+file)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				scan := bufio.NewScanner(out)
				last := ""
				for n := 0; n < lines && scan.Scan(); n++ {
					last = scan.Text()
				}
				cmd.Process.Kill()
				cmd.Wait()
				waitFor(t, func() bool { // a server goes on with the request that it was in
					return try(t, s, `UPDATE sys_plan SET updated_at = updated_at`) == nil
				})
				switch after := live(); {
				case after == before:
					killed++
					t.Logf("killed after %q: nothing was written", last)
				case one[int](t, s, `SELECT count(*) FROM sys_organization`) == tenants+1 && one[int](t, s, `SELECT count(*) FROM sys_guard`) == 0:
					t.Logf("killed after %q: everything was written", last)
				default:
					t.Fatalf("killed after %q: before %s, after %s", last, before, after)
				}
				if live() != before {
					break
				}
			}
			if killed == 0 {
				t.Error("the import was never killed in its middle")
			}
			if _, err := s.ImportFile(t.Context(), file, ImportOptions{}); err != nil {
				t.Fatal(err)
			}
			if n := one[int](t, s, `SELECT count(*) FROM sys_organization`); n != tenants+1 {
				t.Errorf("%d tenants", n)
			}
		})
	}
}

// Promise: what aborted imports left on a server is removed by a later one, once it is old.
func TestImportRemovesStale(t *testing.T) {
	s := migrated(t, backends()[1].open(t))
	run(t, s, `INSERT INTO sys_import (id, actor, started_at) VALUES ('old', 'x', '2020-01-01T00:00:00Z'), ('young', 'x', ?1)`, formatTime(time.Now()))
	for i := range 3 * unstageAtOnce {
		run(t, s, `INSERT INTO sys_import_chunk (import_id, kind, seq, records) VALUES ('old', 'audit', ?1, '[]')`, i)
	}
	run(t, s, `INSERT INTO sys_import_chunk (import_id, kind, seq, records) VALUES ('young', 'audit', 1, '[]')`)
	importText(t, s, designDocument)
	if got := one[string](t, s, `SELECT group_concat(id) || ' ' || (SELECT count(*) FROM sys_import_chunk) FROM sys_import`); got != "young 1" {
		t.Errorf("left: %s", got)
	}
}
