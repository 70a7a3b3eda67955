package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/fleet"
	"github.com/tenantgate/tenantgate/test/redis"
)

// pauseFor is for how long Redis is paused.
const pauseFor = 2 * time.Second

// slice is the width of the stretches in which admitted requests are counted.
const slice = 100 * time.Millisecond

// tenant is one tenant's limit and traffic.
type tenant struct {
	name string
	rate quota.Rate
	// demand is how many requests come for one that the limit allows, over all nodes.
	demand float64
	key    quota.Key
}

// config is what is simulated.
type config struct {
	nodes   int
	span    time.Duration
	mode    fleet.Mode
	tenants []tenant
	// churn lets a quarter of the nodes leave and others join in the middle, and another quarter fall silent for a while.
	churn bool
	// restart is when Redis is killed and started again empty, pause when it is stopped for pauseFor; 0: never. Where both are
	// given, pause comes later, by more than pauseFor.
	restart, pause time.Duration
	seed           uint64
	timeout        time.Duration
}

// result is what happened to one tenant.
type result struct {
	tenant          tenant
	asked, admitted int64
	// slices are the admitted requests of each slice of time.
	slices []int64
	// calls are the round trips of all nodes together, over all tenants.
	calls int64
	took  time.Duration
	// losses is how often Redis was restarted or paused, lost how often a node has lost it, for whatever reason.
	losses int
	lost   int64
}

// most is what the limit lets pass in the time that the run took, with one burst more for each time that Redis was lost.
func (r *result) most() float64 {
	return float64(r.tenant.rate.Burst())*float64(1+r.losses) + perSecond(r.tenant.rate)*r.took.Seconds()
}

func perSecond(r quota.Rate) float64 { return float64(r.Requests()) / r.Period().Seconds() }

// excess returns by how much more was admitted in some stretch of time than the burst and the rate allow; 0 if never.
// A stretch is counted from the begin of its first slice to the end of its last, and one slice more, for what is told to
// a request a little after Redis has counted it.
func (r *result) excess() float64 {
	worst, least := 0.0, 0.0
	sum := 0.0
	each := perSecond(r.tenant.rate) * slice.Seconds()
	burst := float64(r.tenant.rate.Burst()) * float64(1+r.losses)
	// sum - each × slices is a walk; the worst stretch is its highest rise.
	for i, n := range r.slices {
		sum += float64(n)
		above := sum - each*float64(i+1)
		worst = max(worst, above-least-burst-each)
		least = min(least, above)
	}
	return worst
}

// node is one gateway.
type node struct {
	store  *fleet.Store
	skew   time.Duration
	weight float64
	// from and to are when it serves; silent is when it does not, in between.
	from, to           time.Duration
	silentAt, silentTo time.Duration
}

// now is the node's own idea of the time, which runs at the right speed and is wrong by up to a day.
func (n *node) now() time.Time { return time.Now().Add(n.skew) }

// serves reports whether the node gets traffic.
func (n *node) serves(at time.Duration) bool {
	return at >= n.from && at < n.to && (at < n.silentAt || at >= n.silentTo)
}

// simulate runs one fleet.
func simulate(ctx context.Context, server *redis.Server, c config) ([]result, error) {
	address, err := fleet.ParseURL(server.URL())
	if err != nil {
		return nil, err
	}
	rnd := rand.New(rand.NewPCG(c.seed, 1))
	nodes := makeNodes(c, rnd)
	results := make([]result, len(c.tenants))
	for i := range results {
		results[i] = result{tenant: c.tenants[i], slices: make([]int64, int(2*c.span/slice)+20)}
	}
	var (
		mu  sync.Mutex // for results
		all sync.WaitGroup
	)
	// The stores are there before the traffic begins, as gateways are that start one after the other.
	open := func(n *node) error {
		var err error
		n.store, err = fleet.New(fleet.Options{Address: address, Mode: c.mode, Now: n.now, Timeout: c.timeout, Prefix: fmt.Sprintf("sim%d:", c.nodes)})
		if err != nil {
			return err
		}
		for deadline := time.Now().Add(10 * time.Second); !n.store.Stats().Up && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	for _, n := range nodes {
		if n.from == 0 {
			if err := open(n); err != nil {
				return nil, err
			}
		}
	}
	began := time.Now()
	for _, n := range nodes {
		all.Go(func() {
			if n.from > 0 {
				wait(ctx, time.Until(began.Add(n.from)))
				if open(n) != nil {
					return
				}
			}
			var traffic sync.WaitGroup
			for i := range c.tenants {
				traffic.Go(func() {
					r := n.traffic(ctx, began, c, &c.tenants[i])
					mu.Lock()
					defer mu.Unlock()
					results[i].asked += r.asked
					results[i].admitted += r.admitted
					for j, v := range r.slices {
						results[i].slices[j] += v
					}
				})
			}
			traffic.Wait()
			n.store.Close()
			mu.Lock()
			defer mu.Unlock()
			for i := range results {
				results[i].calls += n.store.Stats().Calls
				results[i].lost += n.store.Stats().Losses
			}
		})
	}
	losses, err := loseRedis(ctx, server, c, began)
	all.Wait()
	for i := range results {
		results[i].took, results[i].losses = c.span, losses
	}
	return results, errors.Join(err, ctx.Err())
}

// loseRedis restarts and pauses Redis when it is time, and returns how often it was away.
func loseRedis(ctx context.Context, server *redis.Server, c config, began time.Time) (losses int, err error) {
	if c.restart > 0 {
		wait(ctx, time.Until(began.Add(c.restart)))
		losses++
		if err := server.Restart(); err != nil {
			return losses, err
		}
	}
	if c.pause > 0 {
		wait(ctx, time.Until(began.Add(c.pause)))
		losses++
		if err := server.Pause(); err != nil {
			return losses, err
		}
		wait(ctx, pauseFor)
		return losses, server.Resume()
	}
	return losses, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// makeNodes gives each node its clock, its share of the traffic, and its fate.
func makeNodes(c config, rnd *rand.Rand) []*node {
	nodes := make([]*node, c.nodes)
	total := 0.0
	for i := range nodes {
		n := &node{
			skew:   time.Duration(rnd.Int64N(int64(48*time.Hour))) - 24*time.Hour,
			weight: 1 / float64(1+i), // the first has most of the traffic, the last next to none
			to:     c.span,
		}
		if c.churn {
			switch i % 4 {
			case 1:
				n.to = c.span / 2
			case 2:
				n.from = c.span / 3
			case 3:
				n.silentAt, n.silentTo = c.span/4, c.span/2
			}
		}
		total += n.weight
		nodes[i] = n
	}
	for _, n := range nodes {
		n.weight /= total
	}
	return nodes
}

// traffic sends a node's share of a tenant's requests, evenly spread over the time.
func (n *node) traffic(ctx context.Context, began time.Time, c config, t *tenant) result {
	r := result{slices: make([]int64, int(2*c.span/slice)+20)}
	// So much that the burst is used up, too.
	each := (perSecond(t.rate) + float64(t.rate.Burst())/c.span.Seconds()) * t.demand * n.weight // per second
	limits := []quota.Limit{{Name: "requests", Key: t.key, Rate: t.rate}}
	out := make([]quota.Status, 1)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	sent, last, due := 0.0, n.from, 0.0
	for ctx.Err() == nil {
		at := time.Since(began)
		if at >= n.to {
			break
		}
		if n.serves(at) {
			due += each * (at - last).Seconds()
		}
		last = at
		for ; sent < due && time.Since(began) < n.to; sent++ {
			r.asked++
			if n.store.Take(n.now(), 1, limits, out) {
				r.admitted++
				r.slices[min(int(time.Since(began)/slice), len(r.slices)-1)]++
			}
		}
		<-tick.C
	}
	return r
}
