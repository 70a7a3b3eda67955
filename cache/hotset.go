package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// hotSetMaxAge is after how long the file is written again although nothing has changed: it also says until when
	// the entries were fresh, and so how long they may be served stale.
	hotSetMaxAge = time.Hour
	// hotSetShare bounds the time spent on writing: the pause after it is at least that many times as long.
	hotSetShare = 20
	// hotSetTempAge is how old a temporary file must be to count as left behind by a crash.
	hotSetTempAge = 10 * time.Minute
)

// hotSet is what is known of the file on disk.
type hotSet struct {
	mu      sync.Mutex // one writer at a time
	path    string     // where it was written last; empty if it was not
	changed int64      // entries.changed then
	at      time.Time  // when
	failing bool       // the last writing failed, and that was logged
}

// LoadHotSet reads the file that [Options.HotSet] names, if it exists, and returns how many entries came back. It must
// be called before anything else has asked the registry. The entries count as expired: they are served stale while they
// are refreshed, for as long as StaleFor allows since they were last known to be current. The first poll drops those
// that have changed since the file was written, so call Poll before the first request where the registry can be reached.
//
// A file that is corrupt, of another version, or no hot set is an error; the cache is then empty, and usable.
func (c *Cache) LoadHotSet() (entries int, err error) {
	s := c.settings.Load()
	if s.HotSet == "" {
		return 0, nil
	}
	if err := c.place.take(context.Background()); err != nil {
		return 0, err
	}
	defer c.place.release()
	if _, _, known := c.place.get(); known {
		return 0, errors.New("hot set: the cache is in use already")
	}
	f, err := os.Open(s.HotSet)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("hot set: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	header, list, err := readHotSet(f, s.Size)
	if err != nil {
		return 0, fmt.Errorf("hot set %s cannot be used: %w", s.HotSet, err)
	}
	c.place.set(header.Registry, header.Position)
	now := s.Now().UnixNano()
	for i := len(list) - 1; i >= 0; i-- { // so that the most recently used is added last
		e := list[i]
		e.loaded = min(e.loaded, now)
		e.fresh.Store(e.loaded)
		if now < c.servedUntil(e) {
			e.resolved = c.shared(e.ref, e.resolved)
			c.entries.put(e)
			entries++
		}
	}
	return entries, nil
}

// SaveHotSet writes the hot set to the file that [Options.HotSet] names, if it names one: to a temporary file beside it
// first, which takes its place (mode 0600) once it is safely on disk. Nothing is written before the cache knows where it
// stands in the change log: then nothing is cached, and what an earlier gateway has written is worth more.
func (c *Cache) SaveHotSet() error {
	c.hotSet.mu.Lock()
	defer c.hotSet.mu.Unlock()
	return c.saveHotSet(c.settings.Load())
}

func (c *Cache) saveHotSet(s *settings) error {
	if s.HotSet == "" {
		return nil
	}
	// The place is read before the entries. What is dropped up to it is gone from them; what they lack of later changes
	// comes again with the first poll after a start.
	id, position, known := c.place.get()
	if !known {
		return nil
	}
	changed := c.entries.changed.Load()
	list := c.entries.all()
	now := s.Now()
	header := hotSetHeader{Registry: id, Position: position, Saved: now.UTC()}
	err := replaceFile(s.HotSet, func(w *bufio.Writer) error {
		h, err := newHotSetWriter(w, header)
		if err != nil {
			return err
		}
		for _, r := range c.records(list, now.UnixNano()) {
			if err := h.record(r); err != nil {
				return err
			}
		}
		return h.close()
	})
	if err != nil {
		return fmt.Errorf("hot set: %w", err)
	}
	c.hotSet.path, c.hotSet.changed, c.hotSet.at = s.HotSet, changed, now
	return nil
}

// records groups the entries that may still be served by snapshot, in order of the first reference to each.
func (c *Cache) records(list []used, now int64) []*hotSetRecord {
	var records []*hotSetRecord
	open := make(map[*registry.Resolved]*hotSetRecord, len(list))
	for _, e := range list {
		if now >= c.servedUntil(e.entry) || e.ref.Kind == registry.KindSessionToken { // a secret
			continue
		}
		r := open[e.resolved]
		if r == nil || len(r.References) == hotSetMaxRefs {
			r = &hotSetRecord{Resolved: e.resolved}
			open[e.resolved] = r
			records = append(records, r)
		}
		r.References = append(r.References, hotSetReference{
			Kind: e.ref.Kind.String(), Key: e.ref.Key, Environment: e.ref.Environment,
			Fresh: e.fresh.Load() / int64(time.Second),
		})
	}
	return records
}

// runHotSet writes the hot set when something has changed, until ctx ends, and then once more.
func (c *Cache) runHotSet(ctx context.Context) {
	last, pause := time.Now(), time.Duration(0)
	for {
		s := c.settings.Load()
		due := last.Add(max(pause, s.HotSetInterval))
		if !wait(ctx, s, time.Until(due)) {
			break
		}
		if time.Now().Before(due) {
			continue // other options are in force
		}
		began := time.Now()
		c.keepHotSet(false)
		last = time.Now()
		pause = hotSetShare * last.Sub(began)
	}
	c.keepHotSet(true)
}

// keepHotSet writes the hot set if it must be or if it is worth it. It logs when writing begins to fail, and when it is over.
func (c *Cache) keepHotSet(must bool) {
	h := &c.hotSet
	h.mu.Lock()
	defer h.mu.Unlock()
	s := c.settings.Load()
	if !must && h.path == s.HotSet && h.changed == c.entries.changed.Load() && s.Now().Sub(h.at) < hotSetMaxAge {
		return
	}
	err := c.saveHotSet(s)
	switch {
	case err != nil && !h.failing:
		s.Logger.Error("the hot set cannot be written; a start without the registry would know older tenants or none", "error", err)
	case err == nil && h.failing:
		s.Logger.Info("the hot set is written again", "file", s.HotSet)
	}
	h.failing = err != nil
}

// replaceFile puts what write writes in the place of the file at path, whole or not at all, also in a crash.
func replaceFile(path string, write func(*bufio.Writer) error) (err error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	prefix := name + ".tmp-"
	removeLeftBehind(dir, prefix)
	f, err := os.CreateTemp(dir, prefix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error counts
			_ = os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 256<<10)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last through a power failure, where the system has a way to do so.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // some file systems refuse; the file is in place nevertheless
	return d.Close()
}

// removeLeftBehind removes temporary files of crashed gateways, so that one that crashes again and again while it writes
// does not fill the disk.
func removeLeftBehind(dir, prefix string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, d := range list {
		if !strings.HasPrefix(d.Name(), prefix) {
			continue
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > hotSetTempAge {
			_ = os.Remove(filepath.Join(dir, d.Name())) // the next time, then
		}
	}
}
