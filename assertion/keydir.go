package assertion

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// rotateEvery is how long a made key signs.
	rotateEvery = 30 * 24 * time.Hour
	// publishAhead is how long a made key is published before it signs, and after what it signed has expired.
	// Upstreams fetch the key set again every few minutes; a day leaves room for those that are slow at it.
	publishAhead = 24 * time.Hour
	// startFormat is the name of a key's file: the time, UTC, from which it signs.
	startFormat = "20060102T150405Z"
)

// KeyDir is a directory of keys that are made when they are needed: the first at once, and every 30 days another one,
// which is published for a day before it signs. A key is removed a day after the last token that it signed has expired.
//
// The name of a key's file is the time from which it signs, so that all gateways that share the directory agree on which
// one does. Files are readable by their owner only (mode 0600), the directory is closed to others (0700).
type KeyDir struct {
	path     string
	lifetime time.Duration // of tokens
}

// NewKeyDir returns the directory of that path for tokens with a lifetime. Nothing is read or written before Load.
func NewKeyDir(path string, lifetime time.Duration) *KeyDir {
	return &KeyDir{path: path, lifetime: lifetime}
}

// madeKey is a key in the directory.
type madeKey struct {
	from time.Time
	path string
	key  *Key
}

// Load returns the keys as of now. It makes those that are due, and removes those whose time is over. Where that fails,
// and there are keys, it returns them along with the error: old keys are better than none.
func (d *KeyDir) Load(now time.Time) (*KeySet, error) {
	made, err := d.read()
	if err != nil {
		return nil, err
	}
	var failed error
	if from, due := nextKey(made, now); due {
		if failed = d.make(from); failed == nil {
			if made, err = d.read(); err != nil {
				return nil, err
			}
		}
	}
	if len(made) == 0 {
		return nil, failed
	}
	signing, over := d.schedule(made, now)
	for _, m := range made[:over] {
		if err := os.Remove(m.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, fmt.Errorf("removing a key that is over: %w", err))
		}
	}
	keys := []*Key{made[signing].key}
	for i := over; i < len(made); i++ {
		if i != signing {
			keys = append(keys, made[i].key)
		}
	}
	set, err := NewKeySet(keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	return set, failed
}

// nextKey returns from when the key that has to be made by now will sign, if there is one.
func nextKey(made []madeKey, now time.Time) (from time.Time, due bool) {
	if len(made) == 0 {
		return now, true
	}
	var last time.Time
	for i := range made {
		if !made[i].from.After(now.Add(rotateEvery)) { // else made when the clock was wrong
			last = made[i].from
		}
	}
	from = last.Add(rotateEvery)
	if now.Before(from.Add(-publishAhead)) {
		return time.Time{}, false
	}
	if earliest := now.Add(publishAhead); from.Before(earliest) {
		from = earliest // the gateway was off when it was due
	}
	return from, true
}

// schedule returns which key signs, and how many, from the oldest on, are over. Where none should sign yet, because the
// clock has gone back, the one does that was made for the latest time.
func (d *KeyDir) schedule(made []madeKey, now time.Time) (signing, over int) {
	signing = len(made) - 1
	for i := range made {
		if !made[i].from.After(now) {
			signing = i
		}
	}
	if made[signing].from.After(now) {
		return signing, 0
	}
	for over < signing && now.After(made[over+1].from.Add(d.lifetime+publishAhead)) {
		over++
	}
	return signing, over
}

// read returns the keys in the directory, by the times from which they sign; none when there is no directory.
func (d *KeyDir) read() ([]madeKey, error) {
	entries, err := os.ReadDir(d.path) // by name, and so by time
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	var made []madeKey
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), keySuffix)
		if !ok {
			continue
		}
		from, err := time.Parse(startFormat, name)
		if err != nil {
			continue // not one of ours
		}
		path := filepath.Join(d.path, e.Name())
		keys, err := readKeyFile(path)
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				continue // removed since by another gateway
			}
			return nil, err
		}
		made = append(made, madeKey{from, path, keys[0]})
	}
	return made, nil
}

// make writes a new key that signs from a time on. When another gateway was faster, its key is the one.
func (d *KeyDir) make(from time.Time) error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	text, err := marshalKey(private)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(d.path, "new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	// A link is there whole or not at all, and never takes the place of another.
	err = os.Link(f.Name(), filepath.Join(d.path, from.UTC().Format(startFormat)+keySuffix))
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}
