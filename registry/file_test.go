package registry

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// moveFile moves an embedded registry with everything that belongs to it.
func moveFile(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// backUp makes a copy of an embedded registry as it is.
func backUp(t *testing.T, s *Store) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup.db")
	run(t, s, "VACUUM INTO ?1", path)
	return path
}

// Promise: a file that is removed under an open store is an error, and no empty one takes its place; once it is back
// everything is as before.
func TestFileIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	s := migrated(t, Options{URL: "file:" + path})
	importText(t, s, designDocument)
	before, err := s.Changes(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(t.TempDir(), "aside.db")
	moveFile(t, path, aside)
	if _, err := s.Changes(t.Context(), 0, 1); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "the file is gone") {
		t.Errorf("changes of a file that is gone: %v", err)
	}
	if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a file that is gone resolves: %v", err)
	}
	if _, err := s.TrimChanges(t.Context(), s.now()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a file that is gone is written to: %v", err)
	}
	if err := s.Migrate(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a file that is gone is made anew: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
	moveFile(t, aside, path)
	after, err := s.Changes(t.Context(), 0, 1)
	if err != nil || after.Replaced || after.Newest != before.Newest || after.Registry != before.Registry {
		t.Errorf("%+v, %v; before %+v", after, err, before)
	}
	if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); err != nil {
		t.Error(err)
	}
}

// Promise: where another file takes the place of an open one, such as a backup, that one is read and written from the
// next poll on, and whoever follows the changes is told once, also where the numbers of the change log would fit.
func TestFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	s := migrated(t, Options{URL: "file:" + path})
	importText(t, s, designDocument)
	backup := backUp(t, s)
	run(t, s, "UPDATE sys_organization SET name = 'changed since' WHERE slug = 'acme'")
	// A history of its own, with the same numbers.
	other := migrated(t, Options{URL: "file:" + backup})
	run(t, other, "UPDATE sys_organization SET name = 'of the backup' WHERE slug = 'acme'")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := s.Changes(t.Context(), 0, 1)
	if err != nil || before.Replaced {
		t.Fatalf("%+v, %v", before, err)
	}
	moveFile(t, path, filepath.Join(t.TempDir(), "aside.db"))
	moveFile(t, backup, path)
	for i, want := range []bool{true, false} {
		c, err := s.Changes(t.Context(), before.Newest, 1)
		if err != nil || c.Replaced != want || c.Registry != before.Registry || c.Newest != before.Newest {
			t.Errorf("poll %d: %+v, %v; before %+v", i, c, err, before)
		}
	}
	r, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"})
	if err != nil || r.Tenant.Name != "of the backup" {
		t.Errorf("%+v, %v", r, err)
	}
	// What is written ends in the file that has the name.
	if _, err := s.exec(t.Context(), "UPDATE sys_organization SET name = 'written' WHERE slug = 'acme'"); err != nil {
		t.Fatal(err)
	}
	reader := migrated(t, Options{URL: "file:" + path})
	if r, err := reader.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); err != nil || r.Tenant.Name != "written" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Promise: opening and closing a registry again and again, as reloads do, leaves nothing behind.
func TestOpenLeavesNothingBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	migrated(t, Options{URL: "file:" + path})
	before := runtime.NumGoroutine()
	for range 100 {
		s, err := Open(Options{URL: "file:" + path})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 { // those of a closed pool end a moment later
		if runtime.NumGoroutine() < before+50 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}
