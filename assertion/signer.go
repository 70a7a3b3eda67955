package assertion

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultIssuer is the "iss" of the tokens where the options name none.
	DefaultIssuer = "tenantgate"
	// DefaultLifetime is how long a token is valid where the options do not say.
	DefaultLifetime = 5 * time.Minute
	// MinLifetime and MaxLifetime bound the lifetime.
	MinLifetime = 10 * time.Second
	MaxLifetime = time.Hour
	// DefaultSize is how many tokens are kept where the options do not say.
	DefaultSize = 100_000
)

// Options are those of a [Signer]. One of Keys and KeyDir is required.
type Options struct {
	// Keys are fixed.
	Keys *KeySet
	// KeyDir holds keys that are made and rotated. Nothing is read or written before the first token, [Signer.KeySet]
	// or [Signer.Renew].
	KeyDir *KeyDir
	// Issuer is the "iss" of the tokens. Default: "tenantgate".
	Issuer string
	// Audience is the "aud" of the tokens. Default: none.
	Audience []string
	// Lifetime is how long a token is valid, from 10 seconds to an hour. Default: 5 minutes.
	Lifetime time.Duration
	// Size bounds how many tokens are kept, and at 2 KiB each, how many bytes they have. Default: 100,000.
	Size int
	// Logger is told when keys change or cannot be kept. Default: nobody.
	Logger *slog.Logger
}

// Check refuses values that nothing can mean; it does not look at the keys.
func (o *Options) Check() error {
	if o.Lifetime != 0 && (o.Lifetime < MinLifetime || o.Lifetime > MaxLifetime) {
		return fmt.Errorf("the lifetime of a token is %s to %s, not %s", MinLifetime, MaxLifetime, o.Lifetime)
	}
	if o.Size < 0 {
		return errors.New("the number of tokens that are kept must be positive")
	}
	for i, a := range o.Audience {
		if a == "" || slices.Contains(o.Audience[:i], a) {
			return errors.New("the audiences of a token must be different, and not empty")
		}
	}
	return nil
}

// Signer makes tokens and keeps them. It serves any number of requests at once.
type Signer struct {
	issuer   string
	audience []string
	lifetime time.Duration
	logger   *slog.Logger
	table    *table

	keys atomic.Pointer[KeySet]
	dir  *KeyDir
	// mu is held while keys are read from dir.
	mu       sync.Mutex
	loadedAt time.Time
	failing  bool

	signed, renewed atomic.Int64
}

// NewSigner checks the options and returns a signer.
func NewSigner(o Options) (*Signer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if (o.Keys == nil) == (o.KeyDir == nil) {
		return nil, errors.New("a signer needs keys, or a directory of keys, and not both")
	}
	s := &Signer{issuer: o.Issuer, audience: slices.Clone(o.Audience), lifetime: o.Lifetime, logger: o.Logger, dir: o.KeyDir}
	if s.issuer == "" {
		s.issuer = DefaultIssuer
	}
	if s.lifetime == 0 {
		s.lifetime = DefaultLifetime
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	s.table = newTable(o.Size)
	if o.Keys != nil {
		s.keys.Store(o.Keys)
	}
	return s, nil
}

// Token returns a token about the facts that has at least a quarter of its life left: the one that is kept, or a new
// one. Of requests that come at once for the same token, one signs and the others wait for it.
func (s *Signer) Token(f Facts, now time.Time) (string, error) {
	if f.User == "" {
		f.Roles = nil
	}
	n := now.UnixNano()
	e, ok := s.table.load(s.table.keyOf(&f))
	if ok {
		if !slices.Equal(e.roles, f.Roles) {
			// Two lists of roles with one hash: as good as never, and then not worth a place.
			return s.sign(f, now)
		}
		if t := e.current(&f, n); t != nil {
			if n-e.used.Load() > int64(s.lifetime/useSteps) {
				// A store at each use would take the cache line from the other cores.
				e.used.Store(n)
			}
			return t.text, nil
		}
	} else {
		e = s.table.join(&f)
	}
	return s.inline(e, f, now)
}

// inline signs on the way of a request.
func (s *Signer) inline(e *entry, f Facts, now time.Time) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := now.UnixNano()
	if t := e.current(&f, n); t != nil {
		return t.text, nil // another request was faster
	}
	t, err := s.make(f, now)
	if err != nil {
		s.table.remove(e)
		return "", err
	}
	e.used.Store(n)
	s.table.put(e, t)
	return t.text, nil
}

// make signs a token to be kept.
func (s *Signer) make(f Facts, now time.Time) (*token, error) {
	text, err := s.sign(f, now)
	if err != nil {
		return nil, err
	}
	n, life := now.UnixNano(), int64(s.lifetime)
	t := &token{
		text: text, from: n - int64(backdate), signed: n, until: n + life/4*3,
		// Tokens that were signed at once are not renewed at once.
		renew: n + life/2 + randomBelow(life/renewSpread),
	}
	t.resolved.Store(f.Resolved)
	return t, nil
}

func (s *Signer) sign(f Facts, now time.Time) (string, error) {
	keys, err := s.KeySet(now)
	if err != nil {
		return "", err
	}
	claims, err := s.encode(f, now)
	if err != nil {
		return "", err
	}
	s.signed.Add(1)
	return keys.Signing().sign(claims)
}

// Stats are counts since the signer was made.
type Stats struct {
	// Signed is how many tokens were signed, Renewed how many of them in the background.
	Signed, Renewed int64
	// Kept is how many tokens are kept now.
	Kept int
}

// Stats returns what has been counted.
func (s *Signer) Stats() Stats {
	return Stats{s.signed.Load(), s.renewed.Load(), s.table.len()}
}
