package cache

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// saved returns a fake registry with three tenants, and the path of a hot set with all of them, written at the clock's time.
func saved(t *testing.T) (f *fakeRegistry, acme uuid.UUID, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state", "hot.json")
	f = newFakeRegistry()
	acme = f.create("acme", "production")
	f.create("globex", "production")
	f.create("initech", "production")
	f.setHost("app.acme.test", fakeHost{tenant: acme})
	c := New(f, Options{HotSet: path})
	for _, ref := range []registry.Reference{byHost("app.acme.test"), bySlug("globex"), bySlug("initech"), bySlug("acme")} {
		mustResolve(t, c, ref)
	}
	if err := c.SaveHotSet(); err != nil {
		t.Fatal(err)
	}
	return f, acme, path
}

func mustLoad(t *testing.T, c *Cache, want int) {
	t.Helper()
	if n, err := c.LoadHotSet(); n != want || err != nil {
		t.Fatalf("LoadHotSet: %d, %v", n, err)
	}
	checkTable(t, c.entries)
}

// Promise: a gateway that starts while the registry is down serves the tenants it knew, for as long as StaleFor allows
// since they were known to be current, and refreshes them when the registry is back.
func TestHotSetServesWithoutRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, path := saved(t)
		want := mustResolve(t, New(f, Options{}), bySlug("acme"))
		f.setDown(errDown)
		c := New(f, Options{HotSet: path})
		mustLoad(t, c, 4)
		mustResolve(t, c, bySlug("acme"))
		if s := c.Stats(); s.StaleHits != 1 {
			t.Fatalf("what was fresh when it was written came back fresh: %+v", s)
		}
		synctest.Wait()
		time.Sleep(time.Hour)
		c = New(f, Options{HotSet: path})
		mustLoad(t, c, 4)
		if r := mustResolve(t, c, bySlug("acme")); !equal(r, want) || r != mustResolve(t, c, byHost("app.acme.test")) {
			t.Fatalf("%+v, not %+v, or not shared by its names", r, want)
		}
		if s := c.Stats(); s.StaleHits != 2 || s.Hits != 0 {
			t.Fatalf("not stale: %+v", s)
		}
		synctest.Wait() // the refreshes have failed
		f.setDown(nil)
		time.Sleep(10 * time.Second)
		mustResolve(t, c, bySlug("acme"))
		synctest.Wait()
		mustResolve(t, c, bySlug("acme"))
		if s := c.Stats(); s.Hits != 1 {
			t.Fatalf("not refreshed: %+v", s)
		}
		f.setDown(errDown)
		time.Sleep(DefaultStaleFor + DefaultTTL - time.Hour)
		mustLoad(t, New(f, Options{HotSet: path}), 0) // as old as that, nothing may be served
	})
}

// Promise: the first poll after a start applies what changed while the gateway was down; when the log does not reach
// back, or the registry is another, everything is dropped.
func TestHotSetThenPoll(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fakeRegistry, uuid.UUID)
		left   int
	}{
		"nothing":          {func(*fakeRegistry, uuid.UUID) {}, 4},
		"suspended":        {func(f *fakeRegistry, id uuid.UUID) { f.setStatus(id, registry.StatusSuspended) }, 2},
		"trimmed":          {func(f *fakeRegistry, id uuid.UUID) { f.setStatus(id, registry.StatusSuspended); f.trim(0) }, 0},
		"another registry": {func(f *fakeRegistry, _ uuid.UUID) { f.id = uuid.New() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, id, path := saved(t)
			test.change(f, id)
			c := New(f, Options{HotSet: path})
			mustLoad(t, c, 4)
			mustPoll(t, c)
			if n := c.Stats().Entries; n != test.left {
				t.Fatalf("%d entries left", n)
			}
			if _, err := c.LoadHotSet(); test.left == 0 && err == nil {
				return // the place is known, so a second load is refused
			} else if err == nil {
				t.Fatal("loaded into a cache in use")
			}
		})
	}
}

// Promise: the most recently used come back first when there is not room for all, and are the last to be evicted.
func TestHotSetKeepsTheMostRecentlyUsed(t *testing.T) {
	f, _, path := saved(t)
	c := New(f, Options{HotSet: path, Size: 2})
	mustLoad(t, c, 2) // acme's two names come together, as its snapshot was used last
	if c.entries.get(bySlug("acme")) == nil || c.entries.get(byHost("app.acme.test")) == nil {
		t.Fatal("not the most recently used")
	}
	c = New(f, Options{HotSet: path})
	mustLoad(t, c, 4)
	if list := c.entries.all(); list[0].ref != bySlug("acme") || list[3].ref != bySlug("globex") {
		t.Fatal("not in order of use")
	}
}

// Promise: the file is private, no other file is left beside it, and it names every kind of reference.
func TestHotSetFile(t *testing.T) {
	f, id, path := saved(t)
	f.change(func() { f.sessions["5e55"] = id })
	f.setHost("a.test", fakeHost{id, f.tenants[id].envs[0].id})
	c := New(f, Options{HotSet: path})
	refs := []registry.Reference{
		byID(id), byHost("a.test"), bySlug("acme", "production"),
		{Kind: registry.KindSession, Key: "5e55"},
		{Kind: registry.KindEnvironmentID, Key: f.tenants[id].envs[0].id.String()},
	}
	for _, ref := range refs {
		mustResolve(t, c, ref)
	}
	for range 2 { // the second replaces the first
		if err := c.SaveHotSet(); err != nil {
			t.Fatal(err)
		}
	}
	c = New(f, Options{HotSet: path})
	mustLoad(t, c, len(refs))
	for _, ref := range refs {
		if c.entries.get(ref) == nil {
			t.Errorf("%v is lost", ref)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 1 {
		t.Errorf("left behind: %v", list)
	}
}

// Promise: temporary files of crashed writers are removed when they are old, and only they.
func TestHotSetRemovesLeftBehind(t *testing.T) {
	f, _, path := saved(t)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{path + ".tmp-1", path + ".tmp-2", path + ".bak"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "2") {
			_ = os.Chtimes(name, old, old)
		}
	}
	c := New(f, Options{HotSet: path})
	mustLoad(t, c, 4)
	if err := c.SaveHotSet(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) != 2 || left[0] != path+".bak" || left[1] != path+".tmp-2" {
		t.Fatal(left)
	}
}

// Promise: a file that is corrupt, cut short, foreign or of another version is an error that names the file, and the
// cache is empty and works.
func TestHotSetBroken(t *testing.T) {
	f, _, path := saved(t)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	broken := map[string][]byte{
		"empty":           {},
		"foreign":         []byte("{\"a\":1}\n"),
		"not text":        bytes.Repeat([]byte{0}, 4096),
		"header only":     lines[0],
		"no trailer":      bytes.Join(lines[:len(lines)-2], nil),
		"cut short":       good[:len(good)-3],
		"goes on":         append(bytes.Clone(good), "x\n"...),
		"record missing":  bytes.Join(slices.Concat(lines[:2], lines[3:]), nil),
		"changed":         bytes.Replace(good, []byte("globex"), []byte("glober"), 1),
		"another version": bytes.Replace(good, []byte(`"version":1`), []byte(`"version":2`), 1),
		"another shape":   bytes.Replace(good, []byte(hotSetShape), []byte("00000000"), 1),
		"bad kind":        bytes.Replace(good, []byte(`"kind":"slug"`), []byte(`"kind":"slog"`), 1),
		"no snapshot":     bytes.Replace(good, []byte(`"resolved":`), []byte(`"resolvee":`), 1),
		"long line":       append([]byte(strings.TrimSuffix(string(lines[0]), "\n")), bytes.Repeat([]byte(" "), hotSetMaxLine)...),
	}
	for name, content := range broken {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			c := New(f, Options{HotSet: path})
			if n, err := c.LoadHotSet(); n != 0 || err == nil || !strings.Contains(err.Error(), path) {
				t.Fatalf("%d, %v", n, err)
			}
			if c.Stats().Entries != 0 {
				t.Fatal("not empty")
			}
			mustResolve(t, c, bySlug("acme"))
			if err := c.SaveHotSet(); err != nil {
				t.Fatal(err)
			}
			mustLoad(t, New(f, Options{HotSet: path}), 1)
		})
	}
	mustLoad(t, New(f, Options{HotSet: filepath.Join(t.TempDir(), "none")}), 0)
	if _, err := New(f, Options{HotSet: t.TempDir()}).LoadHotSet(); err == nil {
		t.Fatal("a directory")
	}
}

// Promise: a disk that takes nothing costs a log line when it begins and one when it is over; service goes on. What the
// file said before stays.
func TestHotSetCannotBeWritten(t *testing.T) {
	var log bytes.Buffer
	f, _, path := saved(t)
	dir := filepath.Dir(path)
	blocked := filepath.Join(dir, "file", "hot.json") // below what is no directory
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(f, Options{HotSet: blocked, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustResolve(t, c, bySlug("acme"))
	for range 3 {
		c.keepHotSet(true)
	}
	if err := c.SaveHotSet(); err == nil || strings.Count(log.String(), "\n") != 1 {
		t.Fatalf("%v\n%s", err, log.String())
	}
	mustResolve(t, c, bySlug("globex"))
	if err := os.Remove(filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	c.keepHotSet(true)
	if strings.Count(log.String(), "\n") != 2 {
		t.Fatal(log.String())
	}
	mustLoad(t, New(f, Options{HotSet: blocked}), 2)

	err := replaceFile(path, func(*bufio.Writer) error { return errors.New("disk full") })
	if err == nil {
		t.Fatal("no error")
	}
	mustLoad(t, New(f, Options{HotSet: path}), 4)
	if left, _ := filepath.Glob(path + ".tmp*"); left != nil {
		t.Fatal(left)
	}
}

// Promise: nothing overwrites a hot set before the cache knows where it stands in the change log.
func TestHotSetIsNotOverwrittenByNothing(t *testing.T) {
	f, _, path := saved(t)
	f.setDown(errDown)
	c := New(f, Options{HotSet: path})
	_, _ = c.Resolve(t.Context(), bySlug("acme"), time.Now())
	if err := c.SaveHotSet(); err != nil {
		t.Fatal(err)
	}
	mustLoad(t, New(f, Options{HotSet: path}), 4)
}

// Promise: no input makes the parser panic or keep more than its limit, and what it accepts it can write and read again.
func FuzzReadHotSet(fuzz *testing.F) {
	var good bytes.Buffer
	w, err := newHotSetWriter(&good, hotSetHeader{Registry: uuid.New(), Position: 7})
	if err != nil {
		fuzz.Fatal(err)
	}
	for i := range 3 {
		e := filled(slug(i), i)
		r := &hotSetRecord{Resolved: e.resolved, References: []hotSetReference{{Kind: "slug", Key: e.ref.Key, Fresh: int64(i)}, {Kind: "host", Key: fmt.Sprint(i, ".test")}}}
		if err := w.record(r); err != nil {
			fuzz.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		fuzz.Fatal(err)
	}
	fuzz.Add(good.Bytes(), 100)
	fuzz.Add(good.Bytes(), 1)
	fuzz.Add(good.Bytes()[:good.Len()/2], 100)
	fuzz.Add([]byte("{}\n"), 1)
	fuzz.Fuzz(func(t *testing.T, data []byte, limit int) {
		limit = max(0, min(limit, 1000))
		header, entries, err := readHotSet(bytes.NewReader(data), limit)
		if err != nil && entries != nil {
			t.Fatalf("entries together with %v", err)
		}
		if len(entries) > limit {
			t.Fatalf("%d entries, limit %d", len(entries), limit)
		}
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.resolved == nil || !fits(e.ref, e.resolved) || e.fresh.Load() < 0 {
				t.Fatalf("accepted %+v", e.ref)
			}
		}
		var again bytes.Buffer
		w, err := newHotSetWriter(&again, header)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			ref := hotSetReference{Kind: e.ref.Kind.String(), Key: e.ref.Key, Environment: e.ref.Environment, Fresh: e.fresh.Load() / 1e9}
			if err := w.record(&hotSetRecord{References: []hotSetReference{ref}, Resolved: e.resolved}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		header2, entries2, err := readHotSet(&again, limit)
		if err != nil || len(entries2) != len(entries) || header2.Position != header.Position {
			t.Fatalf("read again: %v, %d entries of %d", err, len(entries2), len(entries))
		}
	})
}
