package quota

import "context"

// Warning says that an allowance has come to a threshold. Each process gives it once for each account, period and
// threshold; what was passed before the account came into memory is not told again.
type Warning struct {
	Account
	// Allowance is the limit.
	Allowance Allowance
	// Percent is 80 or 100: what is reached of the limit.
	Percent int
	// Used is what is used of it.
	Used int64
}

// reached returns a bit for each threshold that is reached: 1 for 80 %, 2 for 100 %.
func (a Allowance) reached(used int64) uint32 {
	switch {
	case used >= a.Max:
		return 3
	case used >= a.Max-a.Max/5:
		return 1
	}
	return 0
}

// mark returns what tells the allowance's Max from another in an account's memory: all but two bits, never 0.
func (a Allowance) mark() uint32 {
	return uint32(uint64(a.Max)*0x9e3779b97f4a7c15>>35)<<2 | 1<<31 // 2^64 / golden ratio
}

// warn compares what is used now, and was before the request, with the thresholds. It costs one look at a word that
// seldom changes, unless there is something to tell.
func (g *ledger) warn(a *account, limit *Allowance, before, now int64) {
	told := &a.told[limit.Period-1]
	for {
		word, reached := told.Load(), limit.reached(now)
		mark := limit.mark()
		known := word & 3
		switch {
		case word&^3 == mark:
			if reached&^known == 0 {
				return
			}
		case word == 0:
			known = limit.reached(before) // told by who passed it
		default:
			known = 0 // another limit than before
		}
		if !told.CompareAndSwap(word, mark|known|reached) {
			continue
		}
		fresh := reached &^ known
		for bit, percent := uint32(1), 80; bit <= 2; bit, percent = bit<<1, percent+20 {
			if fresh&bit == 0 {
				continue
			}
			select {
			case g.warnings <- Warning{Account: a.names(), Allowance: *limit, Percent: percent, Used: now}:
			default:
				told.And(^bit) // nobody is listening: the next request tries again
			}
		}
		return
	}
}

// warnLoop hands warnings on until ctx ends.
func (g *ledger) warnLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-g.warnings:
			g.usage.Warn(w)
		}
	}
}
