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
type account struct {
	// count is what was counted since the account came into memory, or deadCount.
	count tally
	// dirty says that the account is on the ledger's list of those to be saved.
	dirty atomic.Bool
	_     [36]byte // what follows is read by every request and seldom written

	// base is what was used of the day but is not in count: by other nodes, and by this one before.
	base atomic.Int64
	// rest is what was used in the other days of the month, by all nodes.
	rest atomic.Int64
	// turn is the ledger's turn for which rest was last put in order.
	turn atomic.Uint32
	// limited says that a limit applies to the account, so that it matters what others spend.
	limited atomic.Bool
	// batch is the load that will bring what was used before; nil when nobody needs to wait for it.
	batch atomic.Pointer[batch]
	// told remembers for each period which warnings were given, and for which Max: Max<<2 | reached.
	told [2]atomic.Uint64

	key      accountKey
	tenant   [16]byte
	monthEnd int64 // Unix time

	// What follows belongs to the ledger, under its mu.

	// loaded says that base is known.
	loaded bool
	// absolute says that count is all that this node has counted: own stays 0.
	absolute bool
	// own is the part of base that this node had recorded; own + count is recorded next.
	own int64
	// saved is what was recorded last.
	saved int64

	// seen and idle belong to sweeps: seen is the count at the last sweep that found it changed, idle when that was.
	seen int64
	idle time.Time
}

func newAccount(k accountKey, tenant [16]byte) *account {
	return &account{key: k, tenant: tenant, monthEnd: PeriodMonth.End(k.day.start()).Unix()}
}

// dead reports whether the account was evicted.
func (a *account) dead() bool { return a.count.top() == deadCount }

// names returns what the outside calls the account.
func (a *account) names() Account {
	return Account{Tenant: a.tenant, Key: a.key.key, Day: a.key.day.start()}
}

// end returns the end of the period that the account is in, as Unix time.
func (a *account) end(p Period) int64 {
	if p == PeriodMonth {
		return a.monthEnd
	}
	return (int64(a.key.day) + 1) * daySeconds
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

// wait returns the time to the period's end.
func (a *account) wait(p Period, now time.Time) time.Duration {
	return time.Duration(a.end(p)-now.Unix())*time.Second - time.Duration(now.Nanosecond())
}

// add counts a cost up to MaxRequests, beyond which nothing is counted.
func add(count, cost int64) int64 { return min(count+min(cost, MaxRequests), MaxRequests) }
