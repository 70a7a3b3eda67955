package e2e_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// fileOf returns the path of a registry in a file.
func fileOf(b backend) string { return strings.TrimPrefix(b.url, "file:") }

// moveRegistry moves a registry in a file with everything that belongs to it.
func moveRegistry(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// faultsOfAFile tries all that can happen to a registry in a file under a running gateway, one after another.
func faultsOfAFile(t *testing.T) {
	b := fileBackend(t)
	disk := harness.NewSmallDisk(t, 64<<20)
	if disk != nil {
		b = backend{url: "file:" + filepath.Join(disk.Dir, "tenants.db")}
	}
	b.load(t, faultTenants(startUpstreams(t)))
	s := newStage(t, b, b, "timeout 20s", nil)
	db := harness.OpenSQL(t, b.url, "")

	full := trial{
		fault: faultNamed(t, "registry file: disk full"),
		begin: func(t *testing.T) { disk.Fill(t) },
		end:   func(t *testing.T) { disk.Free(t) },
	}
	if disk == nil {
		// The end of the write-ahead log is beyond the limit then, and the gateway's own log well below.
		full.begin = func(t *testing.T) {
			for {
				if info, err := os.Stat(fileOf(b) + "-wal"); err != nil {
					t.Fatal(err)
				} else if info.Size() > 1<<20 {
					break
				}
				if _, err := db.ExecContext(t.Context(), "UPDATE sys_organization SET name = name || '.' WHERE slug LIKE 'cold-1%'"); err != nil {
					t.Fatal(err)
				}
			}
			s.g.LimitFiles(t, 500<<10)
		}
		full.end = func(t *testing.T) { s.g.LimitFiles(t, 0) }
	}
	t.Run(full.name, func(t *testing.T) { s.undergo(t, full) })

	// Everything that has a connection of its own has closed it by then.
	db.Close()
	path := fileOf(b)
	aside := filepath.Join(filepath.Dir(path), "aside.db")
	removed := trial{
		fault: faultNamed(t, "registry file: removed"),
		begin: func(t *testing.T) { moveRegistry(t, path, aside) },
		felt: func() error {
			return s.g.Expect(t.Context(), s.stranger(), 503, "")()
		},
		end: func(t *testing.T) {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was made in place of the file: %v", err)
			}
			moveRegistry(t, aside, path)
		},
	}
	t.Run(removed.name, func(t *testing.T) { s.undergo(t, removed) })

	const name = "As In The Backup"
	replaced := trial{
		fault: faultNamed(t, "registry file: replaced"),
		begin: func(t *testing.T) {
			backup := filepath.Join(filepath.Dir(path), "backup.db")
			db := harness.OpenSQL(t, b.url, "")
			if _, err := db.ExecContext(t.Context(), "VACUUM INTO ?", backup); err != nil {
				t.Fatal(err)
			}
			db.Close()
			other := harness.OpenSQL(t, "file:"+backup, "")
			harness.Exec(t, other, "UPDATE sys_organization SET name = ? WHERE slug = 'acme'", name)
			other.Close()
			moveRegistry(t, path, aside)
			moveRegistry(t, backup, path)
		},
		end: func(*testing.T) {},
	}
	t.Run(replaced.name, func(t *testing.T) {
		s.undergo(t, replaced)
		if err := s.serves("acme.app.test", name)(); err != nil {
			t.Error(err)
		}
	})
}

// faultReadOnly starts a gateway on a file that it must not write to, nor to its directory.
func faultReadOnly(t *testing.T) {
	b := fileBackend(t)
	b.load(t, faultTenants(startUpstreams(t)))
	path := fileOf(b)
	modes := func(t *testing.T, file, dir os.FileMode) {
		t.Helper()
		if err := errors.Join(os.Chmod(path, file), os.Chmod(filepath.Dir(path), dir)); err != nil {
			t.Fatal(err)
		}
	}
	s := newStage(t, b, b, "timeout 20s", func(o *harness.Options) {
		o.Dir, o.Wrap = t.TempDir(), harness.HeedModes()
	})
	s.g.Stop(t)
	modes(t, 0o400, 0o500)
	t.Cleanup(func() { modes(t, 0o600, 0o700) })
	s.again(t)
	s.undergo(t, trial{
		fault: faultNamed(t, "registry file: read-only at the start"),
		end:   func(t *testing.T) { modes(t, 0o600, 0o700) },
	})
}
