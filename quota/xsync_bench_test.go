package quota

import (
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// xsyncStore is Local's arithmetic over xsync.Map.
type xsyncStore struct {
	epoch time.Time
	m     *xsync.Map[Key, *cell]
}

func (s *xsyncStore) cell(k Key) *cell {
	c, ok := s.m.Load(k)
	if !ok {
		c, _ = s.m.LoadOrStore(k, new(cell))
	}
	return c
}

func (s *xsyncStore) Take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	at := instantOf(now, s.epoch)
	for i := range limits {
		r, c := &limits[i].Rate, s.cell(limits[i].Key)
		for {
			tat := c.load()
			d := debtOf(tat, at)
			if !r.fits(d, cost) {
				r.refusal(d, cost, &out[i])
				return false
			}
			if c.swap(tat, r.after(d, at, cost)) {
				r.status(d+span(cost)*r.interval, &out[i])
				break
			}
		}
	}
	return true
}
