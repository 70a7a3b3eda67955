package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// quietWindow is how long the machine is watched before it is believed to be quiet.
const quietWindow = 300 * time.Millisecond

// meter tells other work on the machine from the benchmark's own.
type meter struct {
	at        time.Time
	all, ours time.Duration
}

// read returns what the machine and the benchmark (its servers and itself) have used until now.
func (b *bench) read() (meter, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return meter{}, fmt.Errorf("reading the machine's load: %w", err)
	}
	m := meter{at: time.Now()}
	if m.all, err = parseMachine(string(text)); err != nil {
		return meter{}, err
	}
	for _, p := range b.servers {
		u, err := p.usage()
		if err != nil {
			return meter{}, err
		}
		m.ours += u.CPU
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} { // wrk is among the children when it has ended
		var own syscall.Rusage
		if err := syscall.Getrusage(who, &own); err != nil {
			return meter{}, fmt.Errorf("reading the benchmark's own load: %w", err)
		}
		m.ours += time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	return m, nil
}

// others returns how many cores other work has kept busy since before. The time of a core that the hypervisor gave to
// another machine counts.
func (m meter) others(before meter) float64 {
	spent := (m.all - before.all) - (m.ours - before.ours)
	return max(0, spent.Seconds()/m.at.Sub(before.at).Seconds())
}

// parseMachine reads the time that all cores together were at work, from /proc/stat (proc_stat(5)): user, nice, system,
// steal. Interrupts stay out, since no process is charged with them.
func parseMachine(stat string) (time.Duration, error) {
	fields := strings.Fields(stat)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("reading the machine's load: unexpected /proc/stat")
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the machine's load: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// quietSlice is [bench.slice] on a machine that does little else: with -quiet it waits for that, and takes the slice
// again when other work came in between. It gives up with ctx.
func (b *bench) quietSlice(ctx context.Context, c candidate, round int, length time.Duration) (sample, error) {
	for {
		if err := b.waitQuiet(ctx); err != nil {
			return sample{}, err
		}
		before, err := b.read()
		if err != nil {
			return sample{}, err
		}
		s, err := b.slice(ctx, c, round, length)
		if err != nil {
			return sample{}, err
		}
		after, err := b.read()
		if err != nil {
			return sample{}, err
		}
		s.Others = after.others(before)
		if b.Quiet == 0 || s.Others <= b.Quiet {
			return s, nil
		}
	}
}

// waitQuiet waits until the machine does little else.
func (b *bench) waitQuiet(ctx context.Context) error {
	if b.Quiet == 0 {
		return nil
	}
	before, err := b.read()
	if err != nil {
		return err
	}
	tick := time.NewTicker(quietWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for a quiet machine: %w", ctx.Err())
		}
		now, err := b.read()
		if err != nil {
			return err
		}
		if now.others(before) <= b.Quiet {
			return nil
		}
		before = now
	}
}

// settleLimit is how long [bench.settle] waits at most.
const settleLimit = 2 * time.Minute

// settle waits until the servers do next to nothing any more: gateways that were just filled write what each tenant has used,
// and their hot sets. Servers that do not come to rest are measured as they are.
func (b *bench) settle(ctx context.Context) error {
	b.progress("waiting until the servers have come to rest")
	ctx, cancel := context.WithTimeoutCause(ctx, settleLimit, errRestless)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, err := b.read()
	for err == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errRestless) {
				b.progress("%v after %s", errRestless, settleLimit)
				return nil
			}
			return ctx.Err()
		}
		var now meter
		if now, err = b.read(); err == nil && atRest(before, now) {
			return nil
		}
		before = now
	}
	return err
}

// errRestless says that the servers did not come to rest.
var errRestless = errors.New("the servers have not come to rest")

// atRest tells whether the benchmark and its servers kept less than a twentieth of a core busy.
func atRest(before, now meter) bool {
	return now.ours-before.ours < now.at.Sub(before.at)/20
}
