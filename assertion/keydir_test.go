package assertion

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestKeyDirRotation keeps the promise of rotation, over two years of a moved clock with irregular looks at the
// directory: each key is published for a day before it signs and until a day after its last token has expired, the key
// that signs is at most 30 days old, but for the pauses between two looks, and there are never many.
func TestKeyDirRotation(t *testing.T) {
	const lifetime, pause = 5 * time.Minute, 12 * time.Hour
	random := rand.New(rand.NewPCG(1, 2))
	d := NewKeyDir(filepath.Join(t.TempDir(), "made", "keys"), lifetime)
	published, signedLast, signedFirst := map[string]time.Time{}, map[string]time.Time{}, map[string]time.Time{}
	end := noon.AddDate(2, 0, 0)
	first := ""
	for now := noon; now.Before(end); now = now.Add(time.Duration(random.Int64N(int64(pause)))) {
		set, err := d.Load(now)
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Keys()) > 3 {
			t.Fatalf("%s: %d keys", now, len(set.Keys()))
		}
		listed := map[string]bool{}
		for _, k := range set.Keys() {
			listed[k.ID()] = true
			if _, ok := published[k.ID()]; !ok {
				published[k.ID()] = now
			}
		}
		signs := set.Signing().ID()
		if first == "" {
			first = signs
		}
		if _, ok := signedFirst[signs]; !ok {
			signedFirst[signs] = now
			if ahead := now.Sub(published[signs]); signs != first && ahead < publishAhead-time.Second {
				t.Errorf("%s: a key signs that was published for only %s", now, ahead)
			}
		}
		if age := now.Sub(signedFirst[signs]); age > rotateEvery+2*pause {
			t.Errorf("%s: a key signs for %s", now, age)
		}
		signedLast[signs] = now
		for id, last := range signedLast {
			if !listed[id] && now.Sub(last) < lifetime+publishAhead {
				t.Errorf("%s: a key is not published that signed %s ago", now, now.Sub(last))
			}
		}
	}
	if n := len(signedFirst); n < 23 || n > 26 {
		t.Errorf("%d keys signed in two years", n)
	}
	entries, err := os.ReadDir(d.path)
	if err != nil || len(entries) > 3 {
		t.Fatalf("%d files are left: %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(d.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has the mode %v (%v)", info.Mode(), err)
	}
}

// TestKeyDirAfterAPause keeps the promise that a key which was due long ago is published for a day all the same, while
// the old one goes on.
func TestKeyDirAfterAPause(t *testing.T) {
	d := NewKeyDir(t.TempDir(), 5*time.Minute)
	before, err := d.Load(noon)
	if err != nil {
		t.Fatal(err)
	}
	late := noon.AddDate(1, 0, 0)
	after, err := d.Load(late)
	if err != nil || len(after.Keys()) != 2 || after.Signing().ID() != before.Signing().ID() {
		t.Fatalf("%v, %v", after, err)
	}
	next, err := d.Load(late.Add(publishAhead))
	if err != nil || next.Signing().ID() == before.Signing().ID() || len(next.Keys()) != 2 {
		t.Errorf("%v, %v", next, err)
	}
	// The clock goes back: the old key signs again, and nothing is lost.
	back, err := d.Load(noon.Add(time.Hour))
	if err != nil || back.Signing().ID() != before.Signing().ID() || len(back.Keys()) != 2 {
		t.Errorf("%v, %v", back, err)
	}
}

// TestKeyDirWrongClock keeps the promise that a key which was made when the clock was years ahead does not sign for
// years: it goes on until the next one was published for a day.
func TestKeyDirWrongClock(t *testing.T) {
	d := NewKeyDir(t.TempDir(), 5*time.Minute)
	wrong, err := d.Load(noon.AddDate(4, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		now  time.Time
		keys int
		same bool
	}{
		{noon, 2, true},
		{noon.Add(publishAhead - time.Second), 2, true},
		{noon.Add(publishAhead), 2, false},
		{noon.Add(publishAhead + rotateEvery), 3, false},
	} {
		set, err := d.Load(tt.now)
		if err != nil || len(set.Keys()) != tt.keys || (set.Signing().ID() == wrong.Signing().ID()) != tt.same {
			t.Errorf("%s: %v, %v", tt.now, set, err)
		}
	}
}

// TestKeyDirShared keeps the promise that of several gateways that start at once in one directory all sign with a key
// that each of them publishes once it looks again.
func TestKeyDirShared(t *testing.T) {
	dir := t.TempDir()
	var wait sync.WaitGroup
	sets := make([]*KeySet, 8)
	for i := range sets {
		wait.Go(func() {
			var err error
			if sets[i], err = NewKeyDir(dir, time.Minute).Load(noon); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, set := range sets {
		if !sameOrder(set, sets[0]) || len(set.Keys()) != 1 {
			t.Errorf("keys %v and %v", set.Keys(), sets[0].Keys())
		}
	}
}

// TestKeyDirBroken keeps the promise that a directory which cannot be used is an error at first, and later no reason to
// stop signing.
func TestKeyDirBroken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := testSigner(t, Options{KeyDir: NewKeyDir(filepath.Join(file, "keys"), 0)})
	if text, err := s.Token(Facts{Resolved: resolved(1, 1)}, noon); err == nil {
		t.Errorf("signed %q", text)
	}
	if kept := s.Stats().Kept; kept != 0 || s.table.entries.Size() != 0 {
		t.Errorf("%d entries without a token are left", kept)
	}
	dir := t.TempDir()
	s = testSigner(t, Options{KeyDir: NewKeyDir(dir, DefaultLifetime)})
	before := mustToken(t, s, Facts{Resolved: resolved(1, 1)}, noon)
	if err := os.WriteFile(filepath.Join(dir, "20270101T000000Z.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Renew(noon.Add(2 * time.Hour))
	if after := mustToken(t, s, Facts{Resolved: resolved(1, 1)}, noon.Add(2*time.Hour)); signerOf(t, after) != signerOf(t, before) {
		t.Error("another key signs")
	}
}
