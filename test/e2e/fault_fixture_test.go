package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// coldTenants is how many tenants a stage has that nobody has asked for yet.
const coldTenants = 1500

// warmHosts are those of the tenants that are cached when a fault begins.
var warmHosts = []string{"acme.app.test", "acme--dev.app.test", "globex.app.test"}

// faultTenants are the tenants of [someTenants], with limits that are counted in the registry, and a great many others.
func faultTenants(u upstreams) document {
	d := someTenants(u)
	for i := range d.Tenants {
		d.Tenants[i].Quotas = map[string]int{"apiRateLimit": 600_000, "burst": 100_000, "maxApiCallsPerMonth": 1_000_000_000}
	}
	for i := range coldTenants {
		d.Tenants = append(d.Tenants, tenant{
			Slug: fmt.Sprintf("cold-%d", i), Name: "Cold", Plan: "free", Status: "active",
			Environments: []environment{{
				Slug: "production", Name: "Production", Type: "production", IsDefault: true, Upstreams: []string{u.globex.Address},
			}},
		})
	}
	return d
}

// stage is a gateway with tenants that are cached and others, on which faults are tried one after another.
type stage struct {
	g      *harness.Gateway
	o      harness.Options
	direct backend // the registry, past the faults
	asked  atomic.Int64
	named  int
	// tries is how often clients send a request that gets no answer; 0 means once.
	tries int
}

// newStage starts a gateway whose entries become stale soon, so that a fault is felt by each of them. Lines stand in the
// block of its registry.
func newStage(t *testing.T, b, direct backend, lines string, more func(*harness.Options)) *stage {
	t.Helper()
	o := harness.Options{
		Tenants: b.directive("poll_interval 200ms\n"+lines) + "cache {\nttl 300ms\n}\n",
		Site:    fmt.Sprintf(refusingSite, ""),
		Env:     b.env(),
	}
	if more != nil {
		more(&o)
	}
	s := &stage{g: harness.Start(t, o), o: o, direct: direct}
	s.warmUp(t)
	return s
}

// again starts the gateway again, with what it has left behind and at the same addresses. It has to have ended.
func (s *stage) again(t *testing.T) {
	t.Helper()
	s.o.Dir, s.o.Address, s.o.Admin = s.g.Dir, s.g.Address, s.g.Admin
	s.g = harness.Start(t, s.o)
}

// settle waits until the gateway has read all changes so far, and has every tenant that it should have in its cache.
func (s *stage) settle(t *testing.T) {
	t.Helper()
	last := ""
	for range 3 { // the first may be of a poll that began before, and the second
		harness.Eventually(t, healWithin, func() error {
			answer, err := harness.Send(t.Context(), s.g.Client, s.g.Admin, harness.Ask{Path: "/tenants/_cache"})
			if err != nil {
				return err
			}
			var stats struct{ LastPoll string }
			if err := json.Unmarshal([]byte(answer.Body), &stats); err != nil {
				return err
			}
			if stats.LastPoll == last {
				return errors.New("no poll since " + last)
			}
			last = stats.LastPoll
			return nil
		})
	}
	s.warmUp(t)
}

func (s *stage) warmUp(t *testing.T) {
	t.Helper()
	for range 3 {
		for _, host := range warmHosts {
			s.g.Get(t, host, "/").Echo(t)
		}
	}
}

// tally counts answers by host and status. It is safe for concurrent use.
type tally struct {
	mu       sync.Mutex
	statuses map[string]map[int]int
	slowest  map[string]time.Duration
	lost     []string // requests without a whole answer
}

func newTally() *tally {
	return &tally{statuses: map[string]map[int]int{}, slowest: map[string]time.Duration{}}
}

func (c *tally) note(host string, status int, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.lost = append(c.lost, host+": "+err.Error())
	}
	if c.statuses[host] == nil {
		c.statuses[host] = map[int]int{}
	}
	c.statuses[host][status]++
	c.slowest[host] = max(c.slowest[host], took)
}

// of adds up the answers for some hosts, or for all: how many, those with 2xx, and those with 5xx.
func (c *tally) of(hosts ...string) (all, ok, failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(hosts) == 0 {
		for host := range c.statuses {
			hosts = append(hosts, host)
		}
	}
	for _, host := range hosts {
		for status, n := range c.statuses[host] {
			all += n
			switch status / 100 {
			case 2:
				ok += n
			case 5:
				failed += n
			}
		}
	}
	return all, ok, failed
}

// longest returns how long the slowest answer took, over all hosts.
func (c *tally) longest() (d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, took := range c.slowest {
		d = max(d, took)
	}
	return d.Round(time.Millisecond)
}

// status returns how often a status came, over all hosts.
func (c *tally) status(want int) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, statuses := range c.statuses {
		n += statuses[want]
	}
	return n
}

// crowd is clients of several hosts under way.
type crowd struct {
	*tally

	// again is how often a request was sent again, on another connection, because there was no answer at all on one, as
	// HTTP/1.1 allows for GET (RFC 9112 §9.3.1).
	again atomic.Int64
	// tries is how often a request is sent at most.
	tries int

	client  *http.Client
	stop    chan struct{}
	running sync.WaitGroup
}

// startCrowd asks for one host after another, each worker with one request at a time and a pause in between. It ends
// with the test, or after five minutes.
func startCrowd(t *testing.T, g *harness.Gateway, workers int, pause time.Duration, tries int, host func() string) *crowd {
	t.Helper()
	c := &crowd{tally: newTally(), tries: tries, client: harness.NewClient(workers), stop: make(chan struct{})}
	for range workers {
		c.running.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			end := time.After(5 * time.Minute)
			for {
				select {
				case <-c.stop:
					return
				case <-end:
					return
				case <-tick.C:
				}
				h := host()
				began := time.Now()
				answer, err := harness.Send(t.Context(), c.client, g.Address, harness.Ask{Host: h})
				for n := 1; err != nil && answer.Status == 0 && n < c.tries; n++ {
					c.again.Add(1)
					answer, err = harness.Send(t.Context(), c.client, g.Address, harness.Ask{Host: h})
				}
				if t.Context().Err() != nil {
					return
				}
				c.note(h, answer.Status, time.Since(began), err)
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

// reaches waits until there were so many answers.
func (c *crowd) reaches(t *testing.T, answers int) {
	t.Helper()
	harness.Eventually(t, healWithin, func() error {
		if all, _, _ := c.of(); all < answers {
			return fmt.Errorf("%d answers, want %d", all, answers)
		}
		return nil
	})
}

// end waits for the requests under way, and closes all connections.
func (c *crowd) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.running.Wait()
	c.client.CloseIdleConnections()
}

// warm asks for the cached tenants in turn, at some 400 requests a second.
func (s *stage) warm(t *testing.T) *crowd {
	t.Helper()
	var n atomic.Int64
	return startCrowd(t, s.g, 4, 10*time.Millisecond, s.tries, func() string { return warmHosts[n.Add(1)%int64(len(warmHosts))] })
}

// cold asks for tenants that nobody has asked for before, at some 60 requests a second.
func (s *stage) cold(t *testing.T) *crowd {
	t.Helper()
	return startCrowd(t, s.g, 6, 100*time.Millisecond, s.tries, s.stranger)
}

// stranger returns the host of a tenant that nobody has asked for before.
func (s *stage) stranger() string {
	return fmt.Sprintf("cold-%d.app.test", s.asked.Add(1)%coldTenants)
}

// rename changes globex's name in the registry, past the fault, and returns a condition that holds when the gateway serves it.
func (s *stage) rename(t *testing.T) (served func() error) {
	t.Helper()
	s.named++
	name := fmt.Sprintf("Globex %d", s.named)
	db := harness.OpenSQL(t, s.direct.url, s.direct.token)
	// The server may have no connection left for a moment, since it keeps those that were cut for ten seconds.
	harness.Eventually(t, healWithin, func() error {
		_, err := db.ExecContext(t.Context(), "UPDATE sys_organization SET name = ? WHERE slug = 'globex'", name)
		return err
	})
	return s.serves("globex.app.test", name)
}

// serves returns a condition that holds when a host is served under a tenant's name.
func (s *stage) serves(host, name string) func() error {
	return func() error {
		answer, err := harness.Send(context.Background(), s.g.Client, s.g.Address, harness.Ask{Host: host})
		if err != nil {
			return err
		}
		var e harness.Echo
		if err := json.Unmarshal([]byte(answer.Body), &e); err != nil {
			return fmt.Errorf("status %d: %s", answer.Status, answer.Body)
		}
		if got := strings.Join(e.Values("X-Tenant-Name"), ","); got != name && got != strings.ReplaceAll(name, " ", "%20") {
			return fmt.Errorf("%s is served as %q, want %q", host, got, name)
		}
		return nil
	}
}
