package e2e_test

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// ask is one request, in Unix time in ns: by this machine's clock, which is the one that Redis reads. It was decided at some
// moment between the two.
type ask struct {
	sent, received int64
	// status is 0 where there was no answer.
	status int
}

func (a ask) admitted() bool { return a.status == http.StatusOK }

// traffic is what was asked of one limit, each gateway's in a list of its own.
type traffic struct {
	mu    sync.Mutex
	asks  [][]ask
	loads []*harness.RunningLoad
}

// evenly and unevenly are how requests are spread over the gateways.
var (
	evenly   = []float64{0.25, 0.25, 0.25, 0.25}
	unevenly = []float64{8. / 15, 4. / 15, 2. / 15, 1. / 15}
)

// send begins to send so many requests a second, over all gateways together. That is what is tried; how many it became is what
// the asks say. It ends with the test at the latest.
func send(t *testing.T, list gateways, request harness.Ask, perSecond float64, shares []float64) *traffic {
	t.Helper()
	s := &traffic{asks: make([][]ask, len(list))}
	for i, g := range list {
		each := perSecond * shares[i]
		workers := min(max(int(math.Ceil(each/25)), 2), 16)
		s.loads = append(s.loads, g.StartLoad(t, harness.Load{
			Reloads: true,
			Workers: workers, Every: time.Duration(float64(workers) / each * float64(time.Second)), AtMost: 2 * time.Minute,
			Ask: func(n int) harness.Ask {
				s.note(i, n, func(a *ask) { a.sent = time.Now().UnixNano() })
				return request
			},
			Check: func(n int, answer harness.Answer) error {
				s.note(i, n, func(a *ask) { a.received, a.status = time.Now().UnixNano(), answer.Status })
				if answer.Status != http.StatusOK && answer.Status != http.StatusTooManyRequests {
					return fmt.Errorf("status %d: %s", answer.Status, answer.Body)
				}
				return nil
			},
		}))
	}
	return s
}

func (s *traffic) note(gateway, n int, change func(*ask)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.asks[gateway]) <= n {
		s.asks[gateway] = append(s.asks[gateway], ask{})
	}
	change(&s.asks[gateway][n])
}

// soFar returns the requests that have been answered.
func (s *traffic) soFar() (list []ask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, asks := range s.asks {
		for _, a := range asks {
			if a.status != 0 {
				list = append(list, a)
			}
		}
	}
	return list
}

// stop ends the traffic and returns what the clients saw. No request is under way any more.
func (s *traffic) stop() harness.Report {
	sum := harness.Report{Statuses: map[int]int{}}
	for _, l := range s.loads {
		r := l.Stop()
		for status, n := range r.Statuses {
			sum.Statuses[status] += n
		}
		sum.Done += r.Done
		sum.Failures += r.Failures
		sum.Slowest = max(sum.Slowest, r.Slowest)
		sum.Errors = append(sum.Errors, r.Errors...)
	}
	return sum
}
