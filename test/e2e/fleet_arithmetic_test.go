package e2e_test

import (
	"math"
	"net/http"
	"slices"
	"testing"
	"time"
)

// rateLimit is a rate as its promise is stated: in any stretch of time, no more than the burst and what the rate gives in it.
// Units are what a request costs, 1 unless cost says otherwise.
type rateLimit struct {
	requests int
	period   time.Duration
	burst    int
	cost     int // of one request; 0 is 1
}

func (l rateLimit) price() float64 { return float64(max(l.cost, 1)) }

// in returns what the rate gives in a stretch of ns, in units, without the burst.
func (l rateLimit) in(ns int64) float64 {
	return float64(l.requests) * float64(ns) / float64(l.period)
}

// excess returns by how many units more was admitted, in the worst of all stretches of time, than the limit allows; it is
// negative where there was room. A request counts in a stretch when it was sent and answered in it: it was decided there.
func (l rateLimit) excess(asks []ask) float64 {
	admitted := slices.DeleteFunc(slices.Clone(asks), func(a ask) bool { return !a.admitted() })
	slices.SortFunc(admitted, func(a, b ask) int { return int(a.received - b.received) })
	worst := math.Inf(-1)
	for _, from := range admitted {
		sum := 0.0
		for _, to := range admitted {
			if to.sent < from.sent {
				continue
			}
			sum += l.price()
			worst = max(worst, sum-float64(l.burst)-l.in(to.received-from.sent))
		}
	}
	return worst
}

// prompt is how soon a request is answered on a machine that has time for it.
const prompt = 100 * time.Millisecond

// ideal returns how many of the requests one bucket would have admitted that all gateways share without any loss of time, each
// decided when it was sent. The bucket holds that many units when the first of them comes. Requests that were not answered
// promptly count for nothing: nobody knows when they were decided, and the machine was busy with something else meanwhile.
func (l rateLimit) ideal(asks []ask, units float64) (admitted int) {
	asks = slices.DeleteFunc(slices.Clone(asks), func(a ask) bool { return a.received-a.sent > int64(prompt) })
	slices.SortFunc(asks, func(a, b ask) int { return int(a.sent - b.sent) })
	for i, a := range asks {
		if i > 0 {
			units = min(units+l.in(a.sent-asks[i-1].sent), float64(l.burst))
		}
		if units >= l.price() {
			units -= l.price()
			admitted++
		}
	}
	return admitted
}

// verdict is what became of some requests.
type verdict struct {
	// admitted and ideal are requests, asked is how many there were. least and most are what the limit gives from the first to
	// the last, in requests: least when only what is certain counts, most by the time until the last answer.
	asked, admitted, ideal int
	least, most            float64
	excess                 float64
}

// judge judges requests that were sent while the bucket held that many units at least.
func (l rateLimit) judge(asks []ask, units float64) (o verdict) {
	first, sent, received := int64(math.MaxInt64), int64(0), int64(0)
	certain := int64(math.MaxInt64) // the bucket has been counting since then at the latest
	for _, a := range asks {
		first, sent, received = min(first, a.sent), max(sent, a.sent), max(received, a.received)
		certain = min(certain, a.received)
		if a.admitted() {
			o.admitted++
		}
	}
	o.asked, o.ideal, o.excess = len(asks), l.ideal(asks, units), l.excess(asks)
	o.least = (units + l.in(max(sent-certain, 0))) / l.price()
	o.most = (float64(l.burst) + l.in(max(received-first, 0))) / l.price()
	return o
}

// demanded reports whether the requests were more than the limit gives, at all times: one bucket without any loss would have
// given nearly all of it.
func (o verdict) demanded() bool { return o.asked > o.ideal && float64(o.ideal) >= 0.99*o.least-1 }

// enough reports whether the limit was given: 97 % of it, less one request for which the bucket may not have been full yet.
func (o verdict) enough() bool { return float64(o.admitted) >= 0.97*o.least-1 }

// enoughFor is enough where this machine did not send what the limit gives: 97 % of what one bucket would have given to those
// that it sent.
func (o verdict) enoughFor() bool { return float64(o.admitted) >= 0.97*float64(o.ideal)-1 }

// Promise: the arithmetic of these tests itself sees when too much is admitted, too little, or when too little was asked.
func TestFleetArithmetic(t *testing.T) {
	l := rateLimit{requests: 10, period: time.Second, burst: 5}
	at := func(status int, ms ...int64) (list []ask) {
		for _, m := range ms {
			list = append(list, ask{sent: m * 1e6, received: (m + 1) * 1e6, status: status})
		}
		return list
	}
	var saturated []ask
	for ms := int64(0); ms <= 10_000; ms += 20 {
		// The burst and then every fifth.
		status := 429
		if ms < 100 || ms%100 == 0 {
			status = 200
		}
		saturated = append(saturated, at(status, ms)...)
	}
	halved, n := slices.Clone(saturated), 0
	for i := range halved {
		if halved[i].admitted() {
			if n++; n%2 == 0 {
				halved[i].status = http.StatusTooManyRequests
			}
		}
	}
	for name, tt := range map[string]struct {
		asks             []ask
		excess           float64
		demanded, enough bool
	}{
		"the burst at once":            {at(200, 0, 0, 0, 0, 0), 0, false, true},
		"one more":                     {at(200, 0, 0, 0, 0, 0, 0), 1, true, true},
		"one more, when there is room": {at(200, 0, 0, 0, 0, 0, 99), 0, true, true},
		"too much in the middle":       {at(200, 0, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 9000), 2, false, false},
		"nothing":                      {at(429, 0, 1000), math.Inf(-1), false, false},
		"as much as there is":          {saturated, 0, true, true},
		"half of it":                   {halved, -2.81, true, false},
	} {
		o := l.judge(tt.asks, 5)
		// Requests take 1 ms, in which a hundredth of a request comes back.
		if o.excess != tt.excess && math.Abs(o.excess-tt.excess) > 0.02 || o.demanded() != tt.demanded || o.enough() != tt.enough {
			t.Errorf("%s: %+v, demanded %v, enough %v", name, o, o.demanded(), o.enough())
		}
	}
	costly := rateLimit{requests: 1000, period: time.Second, burst: 1000, cost: 250}
	if o := costly.judge(at(200, 0, 0, 0, 0, 0), 1000); o.ideal != 4 || math.Abs(o.excess-249) > 1.1 {
		t.Errorf("with a cost: %+v", o)
	}
}
