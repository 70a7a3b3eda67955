package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// mostAtOnce bounds the requests that are under way. Those that come beyond are not sent, and counted.
const mostAtOnce = 200

// load sends requests of all kinds at a steady rate, however long their answers take.
type load struct {
	*world
	tally *tally
	rate  float64 // requests a second
	grace time.Duration
	// admitted counts what tenants over quota were served; by slug.
	mu       sync.Mutex
	admitted map[string]int64
	quick    histogram // times of all kinds that are not slow
}

// run sends until the context ends, and returns when all answers are there.
func (l *load) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	free := make(chan struct{}, mostAtOnce)
	weights := 0
	for _, k := range kinds {
		weights += k.weight
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began, sent := time.Now(), 0
	for ctx.Err() == nil {
		<-tick.C
		// After a pause of the machine not all of it is made up for: that would be another load.
		due := int(l.rate * time.Since(began).Seconds())
		if due-sent > int(l.rate/4) {
			sent = due - int(l.rate/4)
		}
		for ; sent < due; sent++ {
			k := choose(rand.IntN(weights))
			j := k.make(l.world)
			if j == nil {
				continue
			}
			select {
			case free <- struct{}{}:
				all.Go(func() {
					defer func() { <-free }()
					l.one(context.WithoutCancel(ctx), k, j)
				})
			default:
				l.tally.request(k.name, 0, "not sent", 0)
			}
		}
	}
}

// choose returns the kind to which a number below the sum of all weights belongs.
func choose(n int) *kind {
	for i := range kinds {
		if n -= kinds[i].weight; n < 0 {
			return &kinds[i]
		}
	}
	return &kinds[0]
}

// one sends one request to one of the gateways and checks what comes back.
func (l *load) one(ctx context.Context, k *kind, j *job) {
	g := l.system.gateways[rand.IntN(len(l.system.gateways))]
	send := j.send
	if send == nil {
		send = sendHTTP
	}
	w := when{from: time.Now()}
	answer, err := send(ctx, g, j.ask)
	w.to = time.Now()
	took := w.to.Sub(w.from)
	if err != nil {
		switch {
		case g.down.touch(w.from, w.to, time.Second):
			l.tally.request(k.name, 0, "gateway down", took)
		case j.send != nil && g.reloads.touch(w.from, w.to, time.Second) && took < requestTimeout:
			// Caddy's server that ends may cut a connection that has just come to it, and only on a kept one is that made up for.
			l.tally.request(k.name, 0, "cut by a reload", took)
		case j.noAnswer && took < requestTimeout:
			l.tally.request(k.name, 0, "closed", took)
		default:
			l.tally.request(k.name, 0, "error", took)
			l.tally.fail(k.name, w, fmt.Errorf("gateway %d: %w", g.number+1, err))
		}
		return
	}
	l.tally.request(k.name, answer.Status, "", took)
	if !k.slow {
		l.mu.Lock()
		l.quick.add(took)
		l.mu.Unlock()
	}
	got := read(answer)
	if err := l.check(g, j, w, got); err != nil {
		l.tally.fail(k.name, w, fmt.Errorf("gateway %d, after %s: %w", g.number+1, took.Round(time.Millisecond), err))
		return
	}
	if got.status == http.StatusOK && j.look != nil {
		if err := j.look(answer, got.echo); err != nil {
			l.tally.fail(k.name, w, err)
		}
	}
	if r := j.reference; got.status == http.StatusOK && r != nil && r.leads.last() != nil && r.leads.last().limited {
		l.mu.Lock()
		l.admitted[r.value]++
		l.mu.Unlock()
	}
}

// sendHTTP sends a request over a connection that is kept.
func sendHTTP(ctx context.Context, g *gateway, ask harness.Ask) (harness.Answer, error) {
	return harness.Send(ctx, g.http, g.address, ask)
}

// check holds a result against what the job allows.
func (l *load) check(g *gateway, j *job, w when, got result) error {
	switch {
	case j.reference != nil:
		late, err := l.system.check(g, l.grace, j.reference, w, got)
		if err == nil && late > 0 {
			l.tally.changedLate(late)
		}
		return err
	case j.status == 0:
		if got.status/100 == 2 || got.status >= 500 && got.status != http.StatusNotImplemented && got.status != http.StatusHTTPVersionNotSupported {
			return fmt.Errorf("status %d for what is none of HTTP's requests", got.status)
		}
		return nil
	case got.status == j.status && got.code == j.code:
		return nil
	case got.code == "registry_unavailable" && l.system.registryDown.touch(w.from, w.to, 10*time.Second):
		return nil
	}
	err := fmt.Errorf("%s got %d %s, want %d %s", j.ask.Host, got.status, got.code, j.status, j.code)
	if got.status == http.StatusOK {
		return &wrongTenant{err.Error()}
	}
	return err
}

// checkLimits holds what limited tenants were served against their limit: the burst, once more for each time that Redis
// forgot, and the rate.
func (l *load) checkLimits(took time.Duration, bursts int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	most := float64(limitedBurst*bursts) + limitedRate*took.Minutes()
	for slug, n := range l.admitted {
		if float64(n) > most {
			errs = append(errs, fmt.Errorf("%s: %d requests were admitted, of %.0f", slug, n, most))
		}
	}
	return errors.Join(errs...)
}
