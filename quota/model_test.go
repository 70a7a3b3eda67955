package quota

import (
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"
)

// bucketModel is a token bucket in exact fractions: slow, and obvious enough to be believed. It holds tokens up to
// the burst, gains one each interval, and admits what it has tokens for.
type bucketModel struct {
	rate   Rate
	tokens *big.Rat
	last   time.Time
}

func newBucketModel(r Rate, now time.Time) *bucketModel {
	return &bucketModel{rate: r, tokens: new(big.Rat).SetInt64(r.burst), last: now}
}

// nanoseconds returns the time of n intervals, in ns.
func (m *bucketModel) nanoseconds(n *big.Rat) *big.Rat {
	interval := new(big.Rat).SetFrac64(int64(m.rate.interval), 1<<tickShift)
	return interval.Mul(interval, n)
}

func (m *bucketModel) refill(now time.Time) {
	gain := new(big.Rat).SetInt64(now.Sub(m.last).Nanoseconds())
	gain.Quo(gain, m.nanoseconds(big.NewRat(1, 1)))
	m.tokens.Add(m.tokens, gain)
	if full := new(big.Rat).SetInt64(m.rate.burst); m.tokens.Cmp(full) > 0 {
		m.tokens = full
	}
	m.last = now
}

func (m *bucketModel) take(now time.Time, cost int64) (Status, bool) {
	m.refill(now)
	price := new(big.Rat).SetInt64(max(cost, 0))
	allowed := m.tokens.Cmp(price) >= 0
	if allowed {
		m.tokens.Sub(m.tokens, price)
	}
	s := m.status()
	if !allowed {
		s.Exceeded = true
		s.RetryAfter = Never
		if cost <= m.rate.burst {
			s.RetryAfter = ceil(m.nanoseconds(price.Sub(price, m.tokens)))
		}
	}
	return s, allowed
}

func (m *bucketModel) status() Status {
	whole := new(big.Int).Quo(m.tokens.Num(), m.tokens.Denom())
	s := Status{Remaining: whole.Int64()}
	full := new(big.Rat).SetInt64(m.rate.burst)
	s.Reset = ceil(m.nanoseconds(full.Sub(full, m.tokens)))
	if s.Reset > 0 {
		next := new(big.Rat).SetInt(whole.Add(whole, big.NewInt(1)))
		s.Next = ceil(m.nanoseconds(next.Sub(next, m.tokens)))
	}
	return s
}

func ceil(r *big.Rat) time.Duration {
	q, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return time.Duration(q.Int64())
}

// admission is what was admitted at a moment.
type admission struct {
	at   time.Time
	cost int64
}

// exceedsLimit returns an error if more was admitted in any stretch of time than the burst plus the rate, exactly as
// it was configured, times that stretch.
func exceedsLimit(r Rate, log []admission) error {
	period := big.NewInt(int64(r.period))
	for i := range log {
		sum := big.NewInt(-r.burst)
		for j := i; j < len(log); j++ {
			sum.Add(sum, big.NewInt(log[j].cost))
			stretch := big.NewInt(log[j].at.Sub(log[i].at).Nanoseconds())
			if new(big.Int).Mul(sum, period).Cmp(stretch.Mul(stretch, big.NewInt(r.requests))) > 0 {
				return fmt.Errorf("%v beyond the burst were admitted within %v of a rate of %v", sum, log[j].at.Sub(log[i].at), r)
			}
		}
	}
	return nil
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock, forward or back, and returns the new time.
func (c *clock) Add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

func mustRate(t testing.TB, requests int64, period time.Duration, burst int64) Rate {
	t.Helper()
	r, err := NewRate(requests, period, burst)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tenantKey returns a key of its own for each n.
func tenantKey(n int) Key {
	return Key{Scope: ScopeTenant, ID: [16]byte{0: 1, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}}
}

// one returns the limits of one tenant with one limit.
func one(r Rate) []Limit { return []Limit{{Name: "requests", Key: tenantKey(1), Rate: r}} }
