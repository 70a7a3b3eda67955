package quota

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/index"
)

// ledger keeps the accounts of a Local.
type ledger struct {
	usage    UsageOptions
	warnings chan Warning
	kick     chan struct{}
	// down says that what was used before cannot be had at the moment: nobody waits for it.
	down atomic.Bool

	// present is the day of the last request, and in the upper half how often it has changed.
	present  atomic.Uint64
	hasher   hasher
	accounts *index.Index[accountKey, account, *account]

	// mu guards what follows, and the accounts' own part that says so. No request holds it across a call.
	mu sync.Mutex
	// batches are to be loaded, in this order; waits says with which one an account is that somebody may wait for.
	batches []*batch
	waits   map[*account]*batch
	// dirty are accounts with something to be saved.
	dirty []*account
	pace  pace

	// loading is held while accounts are loaded, sweeping by a sweep.
	loading, sweeping sync.Mutex
	// flushing has room for the one who saves.
	flushing chan struct{}
	failing  failing
}

// UsageOptions say where a [Local] reads and writes what was used of allowances.
type UsageOptions struct {
	// Source knows what was used before, Sink keeps what is used now: both or neither. With neither, allowances are
	// counted in memory only.
	Source UsageSource
	Sink   UsageSink
	// FlushInterval is the pause between two flushes; default 1 s. A process that is killed loses what it counted since
	// the last one. Where more accounts without a limit are counted for than one call saves (1000), saving these is
	// paced: it pauses for 15 times as long as a call took.
	FlushInterval time.Duration
	// MaxFlush bounds how long a flush that is paced may take, by shorter pauses; default 30 s. What is counted meanwhile
	// is for the one that follows, so that a process that is killed then loses what it counted of accounts without a
	// limit in twice this time at most, as long as Sink keeps up without any pause.
	MaxFlush time.Duration
	// LoadTimeout bounds how long the first request of an account waits for Source; default 250 ms. After that, and as
	// long as Source fails, nobody waits: requests are counted and allowed up to the limit as if nothing had been
	// used before, and once Source answers, what it says is added.
	LoadTimeout time.Duration
	// IdleAfter is how long an account that has been saved may rest in memory; default 5 min. After that the next
	// request loads it again. Without Source and Sink accounts stay until their month has been over for 31 days.
	IdleAfter time.Duration
	// Warn is told of allowances that come to 80 % and 100 %, one call at a time, from [Local.Run]; default nobody.
	Warn func(Warning)
	// Failed is told when the first of Source and Sink fails, and with nil when both work again; default nobody. Calls are
	// made one at a time.
	Failed func(context.Context, error)
}

func newLedger(o UsageOptions, h hasher) *ledger {
	if o.FlushInterval <= 0 {
		o.FlushInterval = time.Second
	}
	if o.MaxFlush <= 0 {
		o.MaxFlush = 30 * time.Second
	}
	if o.LoadTimeout <= 0 {
		o.LoadTimeout = 250 * time.Millisecond
	}
	if o.IdleAfter <= 0 {
		o.IdleAfter = 5 * time.Minute
	}
	if o.Warn == nil {
		o.Warn = func(Warning) {}
	}
	if o.Failed == nil {
		o.Failed = func(context.Context, error) {}
	}
	if o.Source == nil || o.Sink == nil {
		o.Source, o.Sink = nil, nil
	}
	return &ledger{
		usage: o, warnings: make(chan Warning, 256), kick: make(chan struct{}, 1), flushing: make(chan struct{}, 1),
		hasher: h, accounts: index.New[accountKey, account](),
	}
}

// find returns an account, which may be dead, or nil.
func (g *ledger) find(k *Key, d day) *account {
	hash := g.hasher.with(k, uint64(uint32(d)))
	if a := g.accounts.First(hash); a == nil || a.id == k.ID && a.day == d && a.scope == k.Scope {
		return a
	}
	return g.accounts.Find(hash, accountKey{*k, d})
}

// open returns the living account of a limit's Key. found is what find has returned for it; where that is of no use, it makes
// one and has it loaded.
func (g *ledger) open(limit *Limit, d day, found *account) *account {
	turn := g.turnTo(d)
	a := found
	if a == nil || a.Dead() {
		a = g.create(accountKey{limit.Key, d}, limit.Owner())
	}
	if a.limited.turn() != turn {
		g.catchUp(a, turn)
	}
	return a
}

// turnTo makes d the present day and returns the number of times that it has changed, as accounts remember it: at midnight,
// and when the clock jumps.
func (g *ledger) turnTo(d day) (turn uint32) {
	for {
		present := g.present.Load()
		if uint32(present) == uint32(d) {
			return uint32(present>>32) * stateTurn
		}
		g.present.CompareAndSwap(present, (present>>32+1)<<32|uint64(uint32(d)))
	}
}

// catchUp puts in order what an account knows of the other days of its month, after requests came for those.
//
//go:noinline
func (g *ledger) catchUp(a *account, turn uint32) {
	if g.usage.Source == nil {
		a.rest.Store(g.otherDays(a))
	} else {
		g.mark(a) // the next flush reads it
	}
	a.limited.setTurn(turn)
}

// otherDays adds up what is in memory of the other days of an account's month: all there is, without a source.
func (g *ledger) otherDays(a *account) (sum int64) {
	key := a.key()
	for d := dayOf(PeriodMonth.Start(a.day.start())); d < a.day.monthEnd(); d++ {
		if other := g.find(&key, d); other != nil && d != a.day {
			sum = add(sum, max(other.count.Load(), 0))
		}
	}
	return sum
}

//go:noinline
func (g *ledger) create(k accountKey, tenant [16]byte) *account {
	fresh := newAccount(&k, tenant)
	carried := g.carry(fresh)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.usage.Source != nil && !carried {
		fresh.limited.set(stateLoading) // before anybody can find the account
	}
	a := g.accounts.Revive(g.hasher.with(&k.key, uint64(uint32(k.day))), k, func() *account { return fresh })
	if a == fresh && g.usage.Source != nil {
		g.enqueue(a)
	}
	return a
}

// enqueue has an account loaded, with others. The caller holds mu.
func (g *ledger) enqueue(a *account) {
	var b *batch
	if n := len(g.batches); n > 0 && !g.batches[n-1].tried && len(g.batches[n-1].accounts) < batchSize {
		b = g.batches[n-1]
	} else {
		b = &batch{done: make(chan struct{})}
		g.batches = append(g.batches, b)
	}
	b.accounts = append(b.accounts, a)
	if a.limited.loading() {
		if g.waits == nil {
			g.waits = make(map[*account]*batch)
		}
		g.waits[a] = b
	}
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// carry takes over what yesterday's account knows: then nobody has to wait at midnight. What the source says comes later and
// takes its place.
func (g *ledger) carry(a *account) bool {
	key := a.key()
	old := g.find(&key, a.day-1)
	if old == nil || old.limited.loading() {
		return false
	}
	count := old.count.Load()
	if count == deadCount {
		return false
	}
	if old.day.monthEnd() == a.day.monthEnd() {
		a.rest.Store(add(old.rest.Load()+old.base.Load(), max(count, 0)))
		a.told[PeriodMonth-1].Store(old.told[PeriodMonth-1].Load())
	}
	return true
}

// charge is one account's part of a Take: the joint room of all allowances with its Key.
type charge struct {
	found *account // what find has returned, if it was asked already
	acct  *account // living when it was looked at; nil before that
	use   int64    // of the day: as last read, or as it is after spending
}

// room returns the day's use up to which the limits from i on with the Key of limits[i] let requests pass. Shadow
// limits and those without a Max do not count.
func (t *take) room(a *account, i int) int64 {
	most := int64(1<<63 - 1)
	if t.admitted {
		return most
	}
	limits := t.limits
	for j := i; j < len(limits); j++ {
		l := &limits[j]
		if l.Allowance.Max == 0 || l.Shadow || j > i && l.Key != limits[i].Key {
			continue
		}
		m := l.Allowance.Max
		if l.Allowance.Period == PeriodMonth {
			m -= a.rest.Load()
		}
		most = min(most, m)
	}
	return most
}

// look reads an account and reports whether it has room.
func (g *ledger) look(t *take, i int, c *charge) bool {
	limits, cost := t.limits, t.cost
	if c.found == nil || c.found.Dead() {
		c.found = g.find(&limits[i].Key, t.day)
	}
	c.acct = g.open(&limits[i], t.day, c.found)
	if limits[i].Allowance.Max > 0 {
		if !c.acct.limited.Load() {
			c.acct.limited.set(stateLimited)
		}
		if c.acct.limited.loading() && !limits[i].Shadow && !t.admitted {
			g.await(c.acct)
		}
	}
	if cost < 1 {
		c.use = c.acct.exactly()
		return true
	}
	base := c.acct.base.Load()
	c.use = max(c.acct.count.top(), 0) + base
	room := t.room(c.acct, i)
	if cost > room-c.use && c.acct.count.credits.Load() != nil {
		c.use = max(c.acct.count.settle(), 0) + base
	}
	return cost <= room-c.use
}

// spend charges an account if it has room.
func (g *ledger) spend(t *take, i int, c *charge) bool {
	for {
		a := c.acct
		base := a.base.Load()
		most := t.room(a, i) - base
		s, quiet := a.count.credits.Load(), most
		if s != nil {
			quiet = min(a.quiet(t.limits, i, a.count.top()+base)-base, most)
		}
		n, end := a.count.raise(s, &t.lane, t.cost, most, quiet)
		switch c.use = n + base; end {
		case raised:
			g.mark(a)
			return true
		case full:
			return false
		case evicted:
			g.look(t, i, c)
		case lost:
			a.count.contended(&a.lost, min(a.quiet(t.limits, i, c.use)-c.use, most-n), leastCount, t.at)
		}
	}
}

// rollBack takes back what a Take that lost a race at a later limit has spent. Should a flush have recorded it in between, the
// next one corrects that.
func (g *ledger) rollBack(t *take, i int, c *charge) {
	for c.acct.count.lower(&t.lane, min(t.cost, MaxRequests), leastCount) == evicted {
		c.acct = g.open(&t.limits[i], t.day, g.find(&t.limits[i].Key, t.day)) // saved and evicted with our cost in it: its successor has it in its base
	}
	c.use = max(c.acct.count.top(), 0) + c.acct.base.Load()
	g.mark(c.acct)
}

// mark puts an account on the list of those to be saved.
func (g *ledger) mark(a *account) {
	if g.usage.Sink == nil || a.dirty.Load() || !a.dirty.CompareAndSwap(false, true) {
		return
	}
	g.mu.Lock()
	g.dirty = append(g.dirty, a)
	g.mu.Unlock()
}

// sweep evicts what is idle and saved, and returns how many there were.
func (g *ledger) sweep(now time.Time) (removed int) {
	for shard := range index.Shards {
		removed += g.sweepShard(shard, now)
	}
	return removed
}

func (g *ledger) sweepShard(shard int, now time.Time) (removed int) {
	g.sweeping.Lock()
	defer g.sweeping.Unlock()
	return g.accounts.Sweep(shard, func(a *account) bool { return g.evict(a, now) })
}

// evict evicts an account that is idle and saved, and takes credits away from any that is idle.
func (g *ledger) evict(a *account, now time.Time) bool {
	count, at := a.count.Load(), max(uint32(now.Unix()), 1)
	if count == deadCount {
		return false
	}
	idle := int32(at - a.idle)
	if seen := uint8(count ^ count>>8); seen != a.seen || a.idle == 0 || idle < 0 {
		a.seen, a.idle = seen, at
		return false
	}
	a.count.retire()
	if g.usage.Sink == nil {
		return now.Unix() >= int64(a.day.monthEnd()+31)*daySeconds && a.count.kill(count) // a margin, for a clock that is set back
	}
	return time.Duration(idle)*time.Second >= g.usage.IdleAfter && g.settled(a, count) && a.count.kill(count)
}

// settled reports whether what an account counts is recorded.
func (g *ledger) settled(a *account, count int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return a.loaded && !a.dirty.Load() && a.saved == a.own+count
}
