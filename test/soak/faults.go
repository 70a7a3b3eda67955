package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// plan says how often what happens. Short runs have all of it, too, and so oftener.
type plan struct {
	change, reload, redis, registry, upstream time.Duration
	// outage is how long something is away.
	outage time.Duration
	// restart is when a gateway is restarted: so long before the last three quarters, which are measured, that it has filled its
	// memory again by then.
	restart time.Duration
}

func planFor(took time.Duration) plan {
	part := func(most time.Duration, parts int) time.Duration { return min(most, took/time.Duration(parts)) }
	return plan{
		change: 400 * time.Millisecond, reload: part(4*time.Minute, 4), redis: part(7*time.Minute, 4),
		registry: part(9*time.Minute, 4), upstream: part(3*time.Minute, 4), outage: part(8*time.Second, 15), restart: took / 10,
	}
}

// every calls f again and again, until the context ends; at first after half of the time.
func every(ctx context.Context, between time.Duration, f func(n int)) {
	pause(ctx, between/2)
	for n := 0; ctx.Err() == nil; n++ {
		f(n)
		pause(ctx, between)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// faults makes happen what an operator or a bad day does.
type faults struct {
	*system
	plan  plan
	tally *tally
}

func (f *faults) note(name string, err error) {
	if err != nil {
		f.tally.fail("fault", recently(time.Minute), fmt.Errorf("%s: %w", name, err))
		return
	}
	f.tally.event(name)
}

// reload reloads one gateway after the other.
func (f *faults) reload(ctx context.Context, n int) {
	g := f.gateways[n%len(f.gateways)]
	g.use.Lock()
	defer g.use.Unlock()
	g.reloads.open(time.Now())
	err := g.reload(context.WithoutCancel(ctx))
	g.reloads.end(time.Now())
	f.note("reload", err)
}

// restart ends the last gateway and starts it again.
func (f *faults) restart(ctx context.Context) {
	pause(ctx, f.plan.restart)
	if ctx.Err() != nil {
		return
	}
	g := f.gateways[len(f.gateways)-1]
	g.use.Lock()
	defer g.use.Unlock()
	g.down.open(time.Now())
	err := g.process.stop()
	g.past += g.process.cmd.ProcessState.UserTime() + g.process.cmd.ProcessState.SystemTime()
	if err == nil {
		err = g.start(context.WithoutCancel(ctx))
	}
	g.down.end(time.Now())
	f.note("restart of a gateway", err)
}

// loseRedis kills Redis and starts it empty, or hangs it.
func (f *faults) loseRedis(ctx context.Context, n int) {
	f.redisDown.open(time.Now())
	defer func() { f.redisDown.end(time.Now()) }()
	if n%2 == 0 {
		f.redis.Stop()
		pause(ctx, f.plan.outage)
		f.note("Redis killed, and started empty", f.redis.Restart())
		return
	}
	err := f.redis.Pause()
	pause(ctx, f.plan.outage)
	if err == nil {
		err = f.redis.Resume()
	}
	f.note("Redis hung", err)
}

// loseRegistry kills sqld, or hangs it. Nobody makes changes meanwhile.
func (f *faults) loseRegistry(ctx context.Context, n int) {
	f.calm.Lock()
	defer f.calm.Unlock()
	f.registryDown.open(time.Now())
	defer func() { f.registryDown.end(time.Now()) }()
	if n%2 == 0 {
		f.sqld.kill()
		pause(ctx, f.plan.outage)
		f.note("sqld killed", f.restartRegistry(context.WithoutCancel(ctx)))
		return
	}
	err := f.sqld.signal(syscall.SIGSTOP)
	pause(ctx, f.plan.outage)
	if err == nil {
		err = f.sqld.signal(syscall.SIGCONT)
	}
	for err == nil && answers(ctx, f.url+"/health") != nil && ctx.Err() == nil {
		pause(ctx, 20*time.Millisecond)
	}
	f.note("sqld hung", err)
}

// loseUpstream ends an upstream and brings it back.
func (f *faults) loseUpstream(ctx context.Context, _ int) {
	u := f.upstreams[upstreamMortal]
	u.down.open(time.Now())
	defer func() { u.down.end(time.Now()) }()
	u.die()
	pause(ctx, f.plan.outage)
	f.note("an upstream died and came back", u.up())
}
