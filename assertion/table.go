package assertion

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// bytesPerToken is how much text a token may have on average; larger ones take the place of several.
	bytesPerToken = 2 << 10
	// evictionSample is among how many entries the one to go is chosen.
	evictionSample = 16
)

// table keeps tokens, up to a number of them and a number of bytes. Reading takes no lock and allocates nothing.
//
// When it is full, a few entries are looked at, and the one goes whose tenant has the most; of several such, the one
// that was not used for longest. So a tenant with a great many users takes places from itself, and hardly ever one from
// a tenant with few. The price of a wrong choice is one signature.
type table struct {
	entries *xsync.Map[entryKey, *entry]
	seed    maphash.Seed

	mu       sync.Mutex
	list     []*entry // those that have a token
	byTenant map[uuid.UUID]int
	bytes    int
	max      int
}

// entryKey is what a token is found by. An environment belongs to one tenant for ever.
type entryKey struct {
	environment uuid.UUID
	roles       uint64 // hash; the entry knows the roles themselves
	user        string
	database    bool
}

// entry is a place for a token and those that follow it.
type entry struct {
	key    entryKey
	tenant uuid.UUID
	roles  []string
	token  atomic.Pointer[token]
	// used is when the token was last used, about: a Unix time in nanoseconds.
	used atomic.Int64

	// mu is held while a token is signed.
	mu sync.Mutex

	// The table's lock guards these. place is the position in its list, -1 before the first token.
	place int
	bytes int
	gone  bool
}

// token is one that was signed. All times are Unix times in nanoseconds.
type token struct {
	text string
	// from and until are between which times it is given out, renew is when it is renewed in the background.
	from, signed, renew, until int64
	// resolved is a snapshot with the facts of the token.
	resolved atomic.Pointer[registry.Resolved]
}

func newTable(size int) *table {
	return &table{
		entries: xsync.NewMap[entryKey, *entry](), seed: maphash.MakeSeed(),
		byTenant: map[uuid.UUID]int{}, max: size,
	}
}

// keyOf returns what the token of the facts is found by.
func (t *table) keyOf(f *Facts) entryKey {
	k := entryKey{environment: f.Resolved.Environment.ID, user: f.User, database: f.Database}
	if len(f.Roles) > 0 {
		var h maphash.Hash
		h.SetSeed(t.seed)
		for _, role := range f.Roles {
			_, _ = h.WriteString(role)
			_ = h.WriteByte(0)
		}
		k.roles = h.Sum64()
	}
	return k
}

func (t *table) load(k entryKey) (*entry, bool) { return t.entries.Load(k) }

// join returns the entry of the facts, new or not. Whoever made it will put a token into it or remove it.
func (t *table) join(f *Facts) *entry {
	k := t.keyOf(f)
	k.user = strings.Clone(k.user) // it may point into a larger text
	e, _ := t.entries.LoadOrStore(k, &entry{
		key: k, tenant: f.Resolved.Tenant.ID, roles: slices.Clone(f.Roles), place: -1,
	})
	return e
}

// current returns the entry's token if it can be given out for the facts at the time now, else nil.
func (e *entry) current(f *Facts, now int64) *token {
	t := e.token.Load()
	if t == nil || now < t.from || now >= t.until {
		return nil
	}
	if t.resolved.Load() == f.Resolved {
		return t
	}
	if !sameFacts(t.resolved.Load(), f.Resolved, f.Database) {
		return nil
	}
	// Something else has changed, such as a quota. From now on the pointers are the same again.
	t.resolved.Store(f.Resolved)
	return t
}

// put makes tok the entry's token, and makes room for it.
func (t *table) put(e *entry, tok *token) {
	e.token.Store(tok)
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.gone {
		return
	}
	if e.place < 0 {
		e.place = len(t.list)
		t.list = append(t.list, e)
		t.byTenant[e.tenant]++
	}
	t.bytes += len(tok.text) - e.bytes
	e.bytes = len(tok.text)
	for len(t.list) > t.max || t.bytes > t.max*bytesPerToken && len(t.list) > 1 {
		t.drop(t.victim())
	}
}

// victim returns the entry to go.
func (t *table) victim() (worst *entry) {
	for range evictionSample {
		e := t.list[rand.IntN(len(t.list))]
		if worst == nil {
			worst = e
			continue
		}
		a, b := t.byTenant[e.tenant], t.byTenant[worst.tenant]
		if a > b || a == b && e.used.Load() < worst.used.Load() {
			worst = e
		}
	}
	return worst
}

// remove takes the entry out, if it is in.
func (t *table) remove(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !e.gone {
		t.drop(e)
	}
}

func (t *table) drop(e *entry) {
	e.gone = true
	t.entries.Delete(e.key)
	if e.place < 0 {
		return
	}
	last := len(t.list) - 1
	t.list[e.place] = t.list[last]
	t.list[e.place].place = e.place
	t.list[last] = nil
	t.list = t.list[:last]
	t.bytes -= e.bytes
	if t.byTenant[e.tenant]--; t.byTenant[e.tenant] == 0 {
		delete(t.byTenant, e.tenant)
	}
}

// len returns how many tokens are kept.
func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.list)
}

// randomBelow returns a number from 0 to n-1.
func randomBelow(n int64) int64 { return rand.Int64N(n) }
