package credential

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

// recent remembers session cookies whose signature was found good, so that a hot client pays for one signature and one
// hash and not for each request. It holds at most as many as it is made for, in two generations: a full one becomes the
// old one, and what is used from there comes over. Reading takes no lock and allocates nothing.
//
// Only good cookies enter, so bad ones evict nothing, however many come; and whether the session still exists is asked
// of the registry each time. As with tokens, the price is that live cookies stay in the gateway's memory, through which
// they pass in any case.
type recent struct {
	max        int // of one generation
	young, old atomic.Pointer[xsync.Map[string, *provenCookie]]
	mu         sync.Mutex // for changing generations
}

// provenCookie is a cookie that was signed by one of the secrets.
type provenCookie struct {
	value string // as it stands in the request
	token string
	hash  string // LookupKey(token)
}

func newRecent(cookies int) *recent {
	m := &recent{max: max(1, cookies/2)}
	m.young.Store(xsync.NewMap[string, *provenCookie]())
	m.old.Store(xsync.NewMap[string, *provenCookie]())
	return m
}

// load returns the cookie of that value if it is remembered, else nil.
func (m *recent) load(value string) *provenCookie {
	if p, ok := m.young.Load().Load(value); ok {
		return p
	}
	if p, ok := m.old.Load().Load(value); ok {
		m.store(p)
		return p
	}
	return nil
}

// store remembers a cookie; the text of p must not belong to a request.
func (m *recent) store(p *provenCookie) {
	young := m.young.Load()
	if young.Size() >= m.max {
		m.mu.Lock()
		if m.young.Load() == young {
			m.old.Store(young)
			m.young.Store(xsync.NewMap[string, *provenCookie]())
		}
		young = m.young.Load()
		m.mu.Unlock()
	}
	young.Store(p.value, p)
}

// proven returns what is to be remembered of a cookie. The texts are cloned: they point into the request's headers,
// which must not stay in memory with them.
func proven(value, token string) *provenCookie {
	token = strings.Clone(token)
	return &provenCookie{value: strings.Clone(value), token: token, hash: LookupKey(token)}
}

func (m *recent) len() int { return m.young.Load().Size() + m.old.Load().Size() }
