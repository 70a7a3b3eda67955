package quota

import "time"

// Store keeps what has been spent from each [Key], and is what a gateway asks for every request.
type Store interface {
	// Take spends cost from every limit, or from none, and fills in out[i] for limits[i]. It reports whether the
	// request may pass: true when every limit had room for the cost, and then all of them are charged. When any
	// has not, none is charged, and Exceeded is set in the status of each that refused. No limits: true.
	//
	// Of a limit of concurrency, one slot is taken whatever the cost. Who is allowed has to give it back by Release. Shadow
	// limits are charged when the request passes, even if they have no room, as far as they can be (a rate's bucket
	// does not go below empty), and say Exceeded then; they refuse nothing.
	//
	// now is the time of the request, read once by the caller from the clock that the store was built with; it may
	// be a little old by the time that Take is called. A cost below 1 spends nothing, takes no slot and is never
	// refused: it only reads. Limits in which nothing is set are skipped. Rates with equal Keys share one bucket, and
	// each of them spends the cost from it; of the other kinds, a Key may come only once (for allowances: once for each
	// period) in one call. The same Key may come with another Rate than before (a plan was changed): what was
	// spent stays spent, as time that must pass before the bucket is full, up to a full bucket of the new Rate. With
	// another Max of an Allowance or another Concurrent, what is spent is the same number as before.
	//
	// Implementations must not block: no lock is held across a system call, and one that asks a server bounds each
	// call by a short timeout of its own and then decides without it. They must be safe for concurrent use, must
	// keep neither limits nor out nor anything in them after they return, and must not panic, whatever the clock
	// does. len(out) must be at least len(limits).
	//
	// Across all calls, what is admitted from a bucket in any stretch of time is at most its burst plus its rate
	// times that stretch.
	Take(now time.Time, cost int64, limits []Limit, out []Status) (allowed bool)

	// Refund gives back what a Take that was allowed has spent from rates and allowances, for a request that is refused all
	// the same, by a limit that was asked later. now, cost and limits are those of that Take; it may be called once for
	// each. What cannot be given back without granting it twice is not: of a rate, what may have been refilled since then.
	// Limits of concurrency are passed over (see Release), and so are shadow limits. Like Take it must not block.
	Refund(now time.Time, cost int64, limits []Limit)

	// Release gives back the slots that a Take with a cost of at least 1 took for the limits of concurrency among
	// these, when the request has ended. It must be called exactly once for each such Take that was allowed, with the
	// same Keys; a slot once taken is never given back by itself. Other limits are passed over.
	Release(limits []Limit)
}
