package caddymodule

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

// runtimes holds what survives a reload, keyed by registry. A configuration owns one reference from its Provision to
// its Cleanup.
var runtimes = caddy.NewUsagePool()

// runtime is everything that outlives a single configuration: the cache, what has been spent from quotas, and the
// loops that keep both in order. Several configurations share it during a reload; the one that was started last
// decides about options.
type runtime struct {
	cache  *cache.Cache
	quota  *limiter
	source *storeSwitch
	// listeners are told what changes in the registry; streams is one of them.
	listeners changeListeners
	streams   *streams

	names nameIndex
	usage *usageBook
	// nodeDir is where the gateway keeps the name under which it counts usage.
	nodeDir string
	log     *logSwitch
	logger  *slog.Logger

	// ctx ends with the last configuration.
	ctx    context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup

	// ready is set, and readyC closed, once the first configuration has started.
	ready  atomic.Bool
	readyC chan struct{}

	// mu is held while configurations start and stop. Requests never take it.
	mu sync.Mutex
	// active are the configurations that were started and not stopped, the newest last.
	active []*activation
	// imported remembers the content that was applied from each import file, and the plans, by hash.
	imported map[string]string
	// pending is the configuration that could not be written into the registry yet; retry is told when it is set.
	pending *activation
	retry   chan struct{}
	// sessionTable is that of the newest configuration; followNow is told when it is set.
	sessionTable *registry.SessionTable
	followNow    chan struct{}
}

// newRuntime returns a runtime that does nothing yet: no file is touched and no server asked before activate.
func newRuntime(o cache.Options) *runtime {
	rt := &runtime{
		source:   &storeSwitch{},
		log:      newLogSwitch(),
		readyC:   make(chan struct{}),
		imported: map[string]string{},
		retry:    make(chan struct{}, 1),

		followNow: make(chan struct{}, 1),
	}
	rt.logger = slog.New(rt.log)
	rt.usage = &usageBook{source: rt.source}
	rt.quota = &limiter{Local: quota.NewLocal(quota.LocalOptions{Usage: rt.usageOptions()})}
	rt.ctx, rt.cancel = context.WithCancel(context.Background())
	rt.streams = newStreams(rt.logger)
	rt.onChanges(rt.streams.changed)
	o.Logger, o.OnChanges = rt.logger, rt.changed
	rt.cache = cache.New(rt.source, o)
	return rt
}

// Destruct implements caddy.Destructor: it ends the loops; the cache writes its last hot set.
func (rt *runtime) Destruct() error {
	rt.cancel()
	rt.loops.Wait()
	rt.streams.abandon(abandonAfter)
	rt.stopUsage()
	retireStats(rt.cache.Stats())
	return nil
}

// waitReady waits until the runtime has started, for at most limit.
func (rt *runtime) waitReady(ctx context.Context, limit time.Duration) bool {
	if rt.ready.Load() {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-rt.readyC:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return rt.ready.Load()
}

// run starts the loops, once.
func (rt *runtime) run() {
	rt.startUsage()
	rt.loops.Go(func() { rt.cache.Run(rt.ctx) })
	rt.loops.Go(func() { rt.quota.Run(rt.ctx) })
	rt.loops.Go(rt.trim)
	rt.loops.Go(rt.retryPending)
	rt.loops.Go(rt.followSessions)
	rt.streams.run(rt.ctx, &rt.loops)
	rt.ready.Store(true)
	close(rt.readyC)
}

// storeSwitch is the registry as the runtime sees it: whichever store the newest configuration has. It lets a reload
// change the token or the timeout without losing the cache.
type storeSwitch struct {
	current atomic.Pointer[pooledStore]
	hints   atomic.Pointer[changeHints] // nil: there are no other gateways to tell
}

// Resolve implements cache.Source.
func (s *storeSwitch) Resolve(ctx context.Context, ref registry.Reference) (*registry.Resolved, error) {
	st := s.acquire()
	if st == nil {
		return nil, registry.ErrUnavailable
	}
	defer st.release()
	return st.store.Resolve(ctx, ref)
}

// Changes implements cache.Source.
func (s *storeSwitch) Changes(ctx context.Context, after int64, limit int) (registry.Changes, error) {
	st := s.acquire()
	if st == nil {
		return registry.Changes{}, registry.ErrUnavailable
	}
	defer st.release()
	changes, err := st.store.Changes(ctx, after, limit)
	s.hints.Load().saw(ctx, &changes, err)
	return changes, err
}

// acquire returns the current store with a use counted, or nil when there is none that is still open.
func (s *storeSwitch) acquire() *pooledStore {
	for {
		st := s.current.Load()
		if st == nil || st.use() {
			return st
		}
		// Closed since: either another one has taken its place, or the last configuration is gone.
		if s.current.Load() == st {
			return nil
		}
	}
}

// logSwitch is a slog.Handler that hands on to the newest configuration's logger, because the writers of an older
// configuration may be closed.
type logSwitch struct {
	current *atomic.Pointer[slog.Handler]
	derive  func(slog.Handler) slog.Handler
}

func newLogSwitch() *logSwitch {
	l := &logSwitch{current: new(atomic.Pointer[slog.Handler]), derive: func(h slog.Handler) slog.Handler { return h }}
	l.set(slog.DiscardHandler)
	return l
}

func (l *logSwitch) set(h slog.Handler)    { l.current.Store(&h) }
func (l *logSwitch) handler() slog.Handler { return l.derive(*l.current.Load()) }

// Enabled implements slog.Handler.
func (l *logSwitch) Enabled(ctx context.Context, level slog.Level) bool {
	return (*l.current.Load()).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *logSwitch) Handle(ctx context.Context, r slog.Record) error {
	return l.handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *logSwitch) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logSwitch{l.current, func(h slog.Handler) slog.Handler { return l.derive(h).WithAttrs(attrs) }}
}

// WithGroup implements slog.Handler.
func (l *logSwitch) WithGroup(name string) slog.Handler {
	return &logSwitch{l.current, func(h slog.Handler) slog.Handler { return l.derive(h).WithGroup(name) }}
}

// Interface guards
var (
	_ caddy.Destructor = (*runtime)(nil)
	_ cache.Source     = (*storeSwitch)(nil)
	_ slog.Handler     = (*logSwitch)(nil)
)
