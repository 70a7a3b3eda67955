package wire

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// poolShards is how many locks the idle connections are divided among, by address.
const poolShards = 32

// sweepAtMost is how often idle connections are looked at: those that have been idle for too long are closed, and those
// that their servers have closed.
const sweepAtMost = 5 * time.Second

// pool holds the idle connections. The one that was used last is taken first, so that the others can go.
type pool struct {
	perHost, total int
	interval       time.Duration
	ticks          uint32 // how many intervals a connection is kept; 0 means for ever
	seed           maphash.Seed
	shards         [poolShards]poolShard

	count  atomic.Int64
	tick   atomic.Uint32 // counts the sweeps
	armed  atomic.Bool   // a sweep is due
	closed atomic.Bool
}

type poolShard struct {
	mu   sync.Mutex
	idle map[string][]*conn
}

func (p *pool) init(o Options) {
	p.perHost, p.total, p.interval = o.MaxIdlePerHost, o.MaxIdle, sweepAtMost
	p.seed = maphash.MakeSeed()
	if o.IdleTimeout > 0 {
		p.interval = min(sweepAtMost, max(o.IdleTimeout/4, time.Millisecond))
		p.ticks = uint32(min((o.IdleTimeout+p.interval-1)/p.interval, 1<<31))
	}
	for i := range p.shards {
		p.shards[i].idle = map[string][]*conn{}
	}
}

func (p *pool) shard(address string) *poolShard {
	return &p.shards[maphash.String(p.seed, address)%poolShards]
}

// take returns an idle connection to the address, or nil.
func (p *pool) take(address string) *conn {
	if p.count.Load() == 0 {
		return nil
	}
	s := p.shard(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.idle[address]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	s.idle[address] = list[:len(list)-1]
	p.count.Add(-1)
	return c
}

// put keeps a connection, or closes it where there are enough.
func (p *pool) put(c *conn) {
	if !p.keep(c) {
		_ = c.net.Close()
		return
	}
	p.arm()
}

func (p *pool) keep(c *conn) bool {
	s := p.shard(c.address)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.idle[c.address]
	if p.closed.Load() || len(list) >= p.perHost || p.total > 0 && p.count.Load() >= int64(p.total) {
		return false
	}
	c.reused, c.since = true, p.tick.Load()
	s.idle[c.address] = append(list, c)
	p.count.Add(1)
	return true
}

// arm sees to it that there is a sweep as long as there is something to sweep. No goroutine waits for it.
func (p *pool) arm() {
	if !p.armed.Load() && p.armed.CompareAndSwap(false, true) {
		time.AfterFunc(p.interval, p.sweep)
	}
}

// sweep closes what has been idle for too long, and what is no longer connected.
func (p *pool) sweep() {
	now := p.tick.Add(1)
	p.drop(func(c *conn) bool { return p.ticks > 0 && now-c.since >= p.ticks || !c.quiet() })
	p.armed.Store(false)
	if p.count.Load() > 0 {
		p.arm()
	}
}

// drop closes the idle connections for which it is true.
func (p *pool) drop(which func(*conn) bool) {
	var dropped []*conn
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		for address, list := range s.idle {
			kept := list[:0]
			for _, c := range list {
				if which(c) {
					dropped = append(dropped, c)
				} else {
					kept = append(kept, c)
				}
			}
			clear(list[len(kept):])
			if len(kept) == 0 {
				delete(s.idle, address)
			} else {
				s.idle[address] = kept
			}
		}
		s.mu.Unlock()
	}
	p.count.Add(-int64(len(dropped)))
	for _, c := range dropped {
		_ = c.net.Close()
	}
}

// close closes what is idle, and lets nothing become idle again.
func (p *pool) close() {
	p.closed.Store(true)
	p.drop(func(*conn) bool { return true })
}
