package quota

import (
	"sync/atomic"
	"time"
)

// day is a calendar day in UTC: days since 1 January 1970.
type day int32

const daySeconds = 24 * 60 * 60

func dayOf(now time.Time) day {
	s := now.Unix()
	if s < 0 {
		s -= daySeconds - 1
	}
	return day(s / daySeconds)
}

// start returns the day's first instant.
func (d day) start() time.Time { return time.Unix(int64(d)*daySeconds, 0).UTC() }

// months remembers the month that was asked for last: its first day, and in the lower half the day after it.
var months atomic.Uint64

// monthEnd returns the first day of the month that follows.
func (d day) monthEnd() day {
	word := months.Load()
	if first, end := day(word>>32), day(uint32(word)); first <= d && d < end {
		return end
	}
	first, end := dayOf(PeriodMonth.Start(d.start())), dayOf(PeriodMonth.End(d.start()))
	months.Store(uint64(uint32(first))<<32 | uint64(uint32(end)))
	return end
}

// accountKey names an account within a process.
type accountKey struct {
	key Key
	day day
}

// account counts the requests of a Key on a day, for its allowances per day and per month. All that is changed on the
// hot path is its count.
//
// What is used of the day is base + count, of the month rest + base + count. An account in memory belongs to one
// day for ever, so that a clock that jumps back finds what was spent before, and one that jumps to and fro around
// midnight gives nothing away.
//
// There is one for each tenant and each environment that has sent a request, so each byte counts: it has 112.
type account struct {
	// count is what was counted since the account came into memory, or deadCount.
	count tally
	// base is what was used of the day but is not in count: by other nodes, and by this one before.
	base atomic.Int64
	// rest is what was used in the other days of the month, by all nodes.
	rest atomic.Int64

	// id, scope and day are its key, and never change.
	id    [16]byte
	day   day
	scope Scope
	// loaded and absolute belong to the ledger, under its mu. loaded says that base is known, absolute that count is all that
	// this node has counted: own stays 0.
	loaded, absolute bool
	// seen is of the count at the last sweep that found it changed, as much as tells it from a neighbour.
	seen uint8
	// limited says that a limit applies to the account, so that it matters what others spend, and more.
	limited state
	// dirty says that the account is on the ledger's list of those to be saved.
	dirty atomic.Bool
	// told remembers for each period which warnings were given, and for which Max: see warn.
	told [2]atomic.Uint32
	// lost is for contended.
	lost losses
	// idle is when a sweep last found the count changed: Unix time modulo 2^32, never 0.
	idle uint32

	tenant [16]byte
	// own, under the ledger's mu, is the part of base that this node had recorded; own + count is recorded next.
	own int64
	// saved, under the ledger's mu, is what was recorded last.
	saved int64
}

// state is what the requests to an account have to know: whether a limit applies to it, whether it waits to be loaded, and
// the ledger's turn for which its rest was last put in order.
type state struct{ word atomic.Uint32 }

const (
	stateLimited = 1 << iota
	stateLoading
	stateTurn // and all bits above
)

// Load reports whether a limit applies to the account.
func (s *state) Load() bool { return s.word.Load()&stateLimited != 0 }

// loading reports whether what was used before is still to be loaded, and somebody may have to wait for that.
func (s *state) loading() bool { return s.word.Load()&stateLoading != 0 }

func (s *state) set(bits uint32)   { s.word.Or(bits) }
func (s *state) clear(bits uint32) { s.word.And(^bits) }

// turn is the turn for which rest is in order, modulo what fits.
func (s *state) turn() uint32 { return s.word.Load() &^ (stateTurn - 1) }

// setTurn says that rest is in order.
func (s *state) setTurn(turn uint32) {
	for {
		word := s.word.Load()
		if s.word.CompareAndSwap(word, word&(stateTurn-1)|turn) {
			return
		}
	}
}

func newAccount(k *accountKey, tenant [16]byte) *account {
	return &account{id: k.key.ID, scope: k.key.Scope, day: k.day, tenant: tenant}
}

// Has reports whether it is the account of a key; see package index.
func (a *account) Has(k accountKey) bool {
	return a.id == k.key.ID && a.day == k.day && a.scope == k.key.Scope
}

// Dead reports whether the account was evicted.
func (a *account) Dead() bool { return a.count.top() == deadCount }

// key is whose account it is.
func (a *account) key() Key { return Key{Scope: a.scope, ID: a.id} }

// names returns what the outside calls the account.
func (a *account) names() Account {
	return Account{Tenant: a.tenant, Key: a.key(), Day: a.day.start()}
}

// exactly returns the day's use.
func (a *account) exactly() int64 { return max(a.count.Load(), 0) + a.base.Load() }

// used returns what is used of a period when the day's use is so much.
func (a *account) used(p Period, dayUse int64) int64 {
	if p == PeriodMonth {
		return dayUse + a.rest.Load()
	}
	return dayUse
}

// leastCount is the lowest number that an account counts: what was counted before an eviction may be taken back after it.
const leastCount = deadCount + 1

// quiet returns the day's use up to which nothing depends on how much exactly it is, when it is about use: for each limit
// with the Key of limits[i], 80 % and 100 % are told of when they are reached, and above that requests are refused, or
// would be. What lies below use by more than cores can hold on credit was passed for certain.
func (a *account) quiet(limits []Limit, i int, use int64) int64 {
	low, next := use-mostHeld, MaxRequests-mostHeld
	for j := i; j < len(limits); j++ {
		l := &limits[j]
		if l.Allowance.Max == 0 || j > i && l.Key != limits[i].Key {
			continue
		}
		rest := int64(0)
		if l.Allowance.Period == PeriodMonth {
			rest = a.rest.Load()
		}
		for _, mark := range [...]int64{l.Allowance.Max - l.Allowance.Max/5, l.Allowance.Max, l.Allowance.Max + 1} {
			if mark -= rest; mark > low {
				next = min(next, mark)
			}
		}
	}
	return next - 1
}

// status describes an allowance of which so much is used.
func (a *account) status(limit *Allowance, now time.Time, used int64, s *Status) {
	*s = unlimited()
	if limit.Max == 0 {
		return
	}
	s.Remaining = max(limit.Max-used, 0)
	if used > 0 {
		s.Reset = a.wait(limit.Period, now)
		s.Next = s.Reset
	}
}

// wait returns the time to the end of the period that the account is in.
func (a *account) wait(p Period, now time.Time) time.Duration {
	return time.Duration(int64(p.end(a.day))*daySeconds-now.Unix())*time.Second - time.Duration(now.Nanosecond())
}

// add counts a cost up to MaxRequests, beyond which nothing is counted.
func add(count, cost int64) int64 { return min(count+min(cost, MaxRequests), MaxRequests) }
