package cache

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Source is what the cache reads: the registry, or anything with its face.
type Source interface {
	// Resolve answers what ref means now: a snapshot that the cache shares and nobody modifies, a
	// [registry.NotFoundError], or an error wrapping [registry.ErrUnavailable]. Any other error counts as unavailable.
	// It must return when ctx ends, and its answer must not be older than a change that Changes has already reported.
	Resolve(ctx context.Context, ref registry.Reference) (*registry.Resolved, error)
	// Changes returns at most limit rows of the change log after the position after, by ascending Seq.
	Changes(ctx context.Context, after int64, limit int) (registry.Changes, error)
}

// The defaults of [Options].
const (
	DefaultSize           = 100_000
	DefaultTTL            = 5 * time.Minute
	DefaultJitter         = 0.1
	DefaultStaleFor       = 24 * time.Hour
	DefaultNegativeTTL    = 10 * time.Second
	DefaultNegativeSize   = 10_000
	DefaultPollInterval   = time.Second
	DefaultLoadTimeout    = 5 * time.Second
	DefaultMaxLoads       = 32
	DefaultHotSetInterval = 30 * time.Second
)

// Options are the sizes and times of a [Cache]. The zero value of a field means its default.
type Options struct {
	// Size bounds the resolved references in memory; there are never more. Default 100,000.
	Size int
	// TTL is how long an entry is served without asking the registry again. Default 5 minutes.
	TTL time.Duration
	// Jitter is the part of TTL, from 0 to 1, by which it is shortened at random, so that what was loaded together does
	// not expire together. Default 0.1; negative means none.
	Jitter float64
	// StaleFor is how long an entry past its TTL is still served while the registry cannot be reached. Default 24 hours;
	// negative means not at all.
	StaleFor time.Duration
	// NegativeTTL is how long an unknown reference is remembered as unknown. Default 10 seconds; negative means not at all.
	NegativeTTL time.Duration
	// NegativeSize bounds the unknown references in memory, apart from Size. Default 10,000.
	NegativeSize int
	// PollInterval is the pause between two polls of the change log. Default 1 second.
	PollInterval time.Duration
	// LoadTimeout bounds one load, the waiting for a load to begin, and one query of the change log. Default 5 seconds.
	LoadTimeout time.Duration
	// MaxLoads bounds how many loads ask the registry at once. Default 32.
	MaxLoads int
	// HotSet is the path of the file that keeps the cached tenants for a start without the registry; empty means none.
	// Each registry needs a file of its own.
	HotSet string
	// HotSetInterval is the shortest time between two writings of that file. Default 30 seconds.
	HotSetInterval time.Duration
	// OnChanges is called after each poll that brought changes, when the cache no longer serves what they touch and with
	// no lock held, so that open streams can be looked at again. One change with Entity "registry" stands for everything
	// when the cache has lost its place in the change log. The slice is shared and must not be modified. May be nil.
	OnChanges func([]registry.Change)
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand gives the random part of TTL and of pauses after failures, from 0 up to but not including 1. It must be safe
	// for concurrent use. Default math/rand/v2.
	Rand func() float64
	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
}

// longest is the longest TTL and StaleFor that are told apart from for ever. It keeps sums of times within 64 bits.
const longest = 100 * 365 * 24 * time.Hour

// withDefaults returns o with every field that says nothing set to its default, and every "none" to zero.
func (o Options) withDefaults() Options {
	o.Size = orDefault(o.Size, DefaultSize)
	o.TTL = min(orDefault(o.TTL, DefaultTTL), longest)
	o.Jitter = min(orNone(o.Jitter, DefaultJitter), 1)
	o.StaleFor = min(orNone(o.StaleFor, DefaultStaleFor), longest)
	o.NegativeTTL = min(orNone(o.NegativeTTL, DefaultNegativeTTL), longest)
	o.NegativeSize = orDefault(o.NegativeSize, DefaultNegativeSize)
	o.PollInterval = orDefault(o.PollInterval, DefaultPollInterval)
	o.LoadTimeout = orDefault(o.LoadTimeout, DefaultLoadTimeout)
	o.MaxLoads = orDefault(o.MaxLoads, DefaultMaxLoads)
	o.HotSetInterval = orDefault(o.HotSetInterval, DefaultHotSetInterval)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// orDefault is for a field that has no sensible zero.
func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// orNone is for a field where a negative value switches something off.
func orNone[T float64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}
