package caddymodule

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

const (
	// streamShards is how many locks share the streams, by tenant. A power of two.
	streamShards = 32
	// recheckers is how many streams are asked about at once.
	recheckers = 8
	// recheckPause is the time after which a stream is asked about again when the registry gave no answer.
	recheckPause = time.Second
	// sweepInterval is how often all streams are asked about without a change: a subscription may have ended.
	sweepInterval = time.Minute
	// abandonAfter is how long streams go on when a reload has named another registry and nobody looks at theirs.
	abandonAfter = time.Minute
)

// streams are the requests that take long: WebSockets and other upgrades, server-sent events, large transfers. They
// are asked about again when the registry changes, and ended when they would not be admitted any more.
type streams struct {
	// generation counts the changes that were heard of. A stream that was routed before the last one and begins after it
	// is found by no one else.
	generation atomic.Uint64
	shards     [streamShards]streamShard

	mu sync.Mutex
	// Streams to be asked about: at once, in their turn, and after a pause.
	urgent, routine, later []*stream
	wake                   chan struct{}

	logger *slog.Logger
}

type streamShard struct {
	mu      sync.Mutex
	tenants map[uuid.UUID]*stream // the first of each tenant's
	_       [48]byte              // a cache line each
}

func newStreams(logger *slog.Logger) *streams {
	set := &streams{wake: make(chan struct{}, 1), logger: logger}
	for i := range set.shards {
		set.shards[i].tenants = map[uuid.UUID]*stream{}
	}
	return set
}

// run starts the loops that ask; they end with ctx.
func (set *streams) run(ctx context.Context, loops *sync.WaitGroup) {
	for range recheckers {
		loops.Go(func() { set.recheckLoop(ctx) })
	}
	loops.Go(func() {
		ticker := time.NewTicker(sweepInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				set.sweep()
			}
		}
	})
}

// sweep asks about all streams, without haste.
func (set *streams) sweep() { set.all(func(s *stream) { set.enqueue(s, queuedRoutine) }) }

// shard returns where the streams of a tenant are. Ids of version 7 differ in their last bytes.
func (set *streams) shard(tenant uuid.UUID) *streamShard {
	return &set.shards[tenant[15]&(streamShards-1)]
}

// add makes s known, unless it has ended meanwhile.
func (set *streams) add(s *stream) {
	tenant := s.tenant()
	shard := set.shard(tenant)
	shard.mu.Lock()
	if s.gone {
		shard.mu.Unlock()
		return
	}
	s.listed = true
	if s.next = shard.tenants[tenant]; s.next != nil {
		s.next.previous = s
	}
	shard.tenants[tenant] = s
	shard.mu.Unlock()
	metricStreamsOpen.Inc()
	if set.generation.Load() != s.state.generation {
		set.enqueue(s, queuedUrgent)
	}
}

// remove forgets s.
func (set *streams) remove(s *stream) {
	tenant := s.tenant()
	shard := set.shard(tenant)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s.gone = true
	if !s.listed {
		return
	}
	s.listed = false
	metricStreamsOpen.Dec()
	if s.next != nil {
		s.next.previous = s.previous
	}
	switch {
	case s.previous != nil:
		s.previous.next = s.next
	case s.next != nil:
		shard.tenants[tenant] = s.next
	default:
		delete(shard.tenants, tenant)
	}
	s.next, s.previous = nil, nil
}

// all calls f for every stream; f must not block, nor add or remove any.
func (set *streams) all(f func(*stream)) {
	for i := range set.shards {
		shard := &set.shards[i]
		shard.mu.Lock()
		for _, s := range shard.tenants {
			for ; s != nil; s = s.next {
				f(s)
			}
		}
		shard.mu.Unlock()
	}
}

// ofTenant is all for one tenant's streams.
func (set *streams) ofTenant(tenant uuid.UUID, f func(*stream)) {
	shard := set.shard(tenant)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for s := shard.tenants[tenant]; s != nil; s = s.next {
		f(s)
	}
}

// changed notes which streams are to be asked about after changes of the registry. It asks nobody, and does not block.
func (set *streams) changed(changes []registry.Change) {
	set.generation.Add(1)
	for _, ch := range changes {
		enqueue := func(s *stream) {
			if s.touchedBy(&ch) {
				set.enqueue(s, queuedUrgent)
			}
		}
		if ch.Tenant != uuid.Nil {
			set.ofTenant(ch.Tenant, enqueue)
		} else {
			set.all(enqueue)
		}
	}
}

// touchedBy reports whether the change, which is about the stream's tenant or names none, may alter what is thought of
// the stream. It says so rather too often.
func (s *stream) touchedBy(ch *registry.Change) bool {
	switch {
	case ch.Entity == "plan" && ch.Key != "":
		return s.state.decision.Resolved.Tenant.Plan == ch.Key
	case (ch.Entity == "api_key" || ch.Entity == "session") && ch.Key != "":
		return s.state.request.RestsOn(ch.Key)
	case ch.Tenant == uuid.Nil && ch.Environment != uuid.Nil:
		return s.state.decision.Resolved.Environment.ID == ch.Environment
	}
	return true
}

func (set *streams) recheckLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-set.wake:
		}
		for s := set.dequeue(); s != nil && ctx.Err() == nil; s = set.dequeue() {
			set.recheck(ctx, s)
		}
	}
}

// recheck asks about s, and ends it if it would not be admitted any more.
func (set *streams) recheck(ctx context.Context, s *stream) {
	if s.over() {
		return
	}
	refusal, err := s.router.Recheck(ctx, &s.state.request, &s.state.decision, time.Now())
	switch {
	case refusal != nil:
		set.close(s, refusal)
	case err != nil:
		set.enqueue(s, queuedLater)
	}
}

// close ends s and says so.
func (set *streams) close(s *stream, refusal *router.Refusal) {
	if !s.end(refusal) {
		return
	}
	metricStreamsClosed.WithLabelValues(refusal.Code).Inc()
	res := s.state.decision.Resolved
	set.logger.Info("stream closed", "tenant", res.Tenant.Slug, "environment", res.Environment.Slug, "code", refusal.Code,
		"age", time.Since(s.state.request.Now).Round(time.Millisecond))
}

// abandon ends, after some time, the streams that are left when nobody looks at the registry any more: a reload has named
// another one. Until then, transfers that would have been over soon are over.
func (set *streams) abandon(after time.Duration) {
	time.AfterFunc(after, func() {
		var left []*stream
		set.all(func(s *stream) { left = append(left, s) })
		for _, s := range left {
			set.close(s, refusalGoingAway)
		}
	})
}
