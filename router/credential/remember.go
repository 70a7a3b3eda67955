package credential

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// bytesPerToken is how much text a remembered token may have on average; larger ones take the place of several.
const bytesPerToken = 1 << 10

// memory remembers tokens that were found good, up to a number of them and a number of bytes. Reading takes no lock
// and allocates nothing; when it is full, the second-chance rule (CLOCK) finds what has not been used of late.
// Only good tokens enter, so bad ones evict nothing, however many come.
//
// A token is found by its whole text: an answer is given for exactly what was verified, with no hash to collide, and
// in a quarter of the time that SHA-256 alone would take over a token of usual size. The price is that live tokens
// stay in the gateway's memory, through which they pass in any case.
type memory struct {
	entries *xsync.Map[string, *remembered]

	mu       sync.Mutex
	ring     []*remembered // nil where a place is free
	free     []int         // places in ring that are free
	hand     int
	max      int
	bytes    int
	maxBytes int
}

// remembered is a verified token and for how long it is good.
type remembered struct {
	token string
	id    *Identity
	key   *key
	// from and until are Unix times in nanoseconds: good from the one until just before the other.
	from, until int64
	place       int
	used        atomic.Bool
}

func newMemory(tokens int) *memory {
	return &memory{entries: xsync.NewMap[string, *remembered](), max: tokens, maxBytes: tokens * bytesPerToken}
}

// alive reports whether the token is still good.
func (e *remembered) alive(now int64) bool {
	return e.from <= now && now < e.until && !e.key.gone.Load()
}

// load returns what the token says if it is remembered and good at the time now, else nil.
func (m *memory) load(token string, now time.Time) *Identity {
	e, ok := m.entries.Load(token)
	if !ok {
		return nil
	}
	if !e.alive(now.UnixNano()) {
		m.forget(e)
		return nil
	}
	if !e.used.Load() { // a store that is not needed would take the cache line from the other cores
		e.used.Store(true)
	}
	return e.id
}

// store remembers a token that k verified.
func (m *memory) store(token string, id *Identity, k *key, from, until time.Time) {
	if len(token) > m.maxBytes {
		return
	}
	// The text is cloned: it points into the request's headers, which must not stay in memory with it.
	e := &remembered{token: strings.Clone(token), id: id, key: k, from: unixNano(from), until: unixNano(until)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.entries.Load(e.token); ok {
		m.remove(old)
	}
	for m.bytes+len(e.token) > m.maxBytes || len(m.ring)-len(m.free) >= m.max {
		m.evict()
	}
	if n := len(m.free); n > 0 {
		e.place = m.free[n-1]
		m.free = m.free[:n-1]
		m.ring[e.place] = e
	} else {
		e.place = len(m.ring)
		m.ring = append(m.ring, e)
	}
	m.bytes += len(e.token)
	m.entries.Store(e.token, e)
}

// forget removes e if it is still there.
func (m *memory) forget(e *remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ring[e.place] == e {
		m.remove(e)
	}
}

// evict removes the first entry after the hand that was not used since the hand last passed it. There is one.
func (m *memory) evict() {
	for {
		e := m.ring[m.hand]
		m.hand = (m.hand + 1) % len(m.ring)
		switch {
		case e == nil:
		case e.used.Load() && !e.key.gone.Load():
			e.used.Store(false)
		default:
			m.remove(e)
			return
		}
	}
}

// remove takes e, which is in the ring, out of it.
func (m *memory) remove(e *remembered) {
	m.entries.Delete(e.token)
	m.ring[e.place] = nil
	m.free = append(m.free, e.place)
	m.bytes -= len(e.token)
}

func (m *memory) len() int { return m.entries.Size() }

// unixNano is time.Time.UnixNano for times that it cannot represent, too: those count as its limits.
func unixNano(t time.Time) int64 {
	const last = 1<<63 - 1
	switch s := t.Unix(); {
	case s > last/int64(time.Second)-1:
		return last
	case s < -last/int64(time.Second)+1:
		return -last
	}
	return t.UnixNano()
}
