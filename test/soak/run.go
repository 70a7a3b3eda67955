package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// run makes a run and its report.
func run(ctx context.Context, o options, out io.Writer) (*outcome, error) {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "run-")
	if err != nil {
		return nil, err
	}
	s, err := startSystem(ctx, dir, o.binary, o.sqld, o.gateways)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	result, err := soak(ctx, s, o, out)
	// What does not end as it should is a failure like others.
	if stopped := s.stop(); stopped != nil && result != nil {
		result.tally.fail("end", recently(stopTimeout), stopped)
	}
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	result.logged = map[string]int{}
	for _, g := range s.gateways {
		if err := result.readLog(filepath.Join(g.dir, "gateway.log")); err != nil {
			return nil, err
		}
	}
	if err := result.save(o); err != nil {
		return nil, err
	}
	return result, os.RemoveAll(dir)
}

// soak runs load, changes and faults for the time, and measures.
func soak(ctx context.Context, s *system, o options, out io.Writer) (*outcome, error) {
	built := version(ctx) // before somebody commits something else
	w := &world{system: s}
	if err := w.populate(ctx); err != nil {
		return nil, fmt.Errorf("make the tenants: %w", err)
	}
	t := newTally(out)
	l := &load{world: w, tally: t, rate: o.rate, grace: o.grace, admitted: map[string]int64{}}
	err := l.warm(ctx)
	if err != nil {
		return nil, err
	}
	var rest atRest
	if rest.before, err = s.quiet(ctx, nil, restLimit); err != nil {
		return nil, err
	}
	t.began = time.Now()
	m, err := newSamples(s, t.began)
	if err != nil {
		return nil, err
	}
	defer m.db.Close() //nolint:errcheck // read only
	allBefore, gatewaysBefore := s.allUsed(), s.gatewaysUsed()

	// Changes and faults end before the load does, so that what they have changed is seen everywhere.
	changing, stopChanging := context.WithDeadline(ctx, t.began.Add(o.duration-min(o.grace, o.duration/4)))
	defer stopChanging()
	loading, stopLoading := context.WithDeadline(ctx, t.began.Add(o.duration))
	defer stopLoading()
	var all sync.WaitGroup
	t.stalled = s.stalled
	all.Go(func() { s.watchStalls(loading) })
	all.Go(func() { s.watchRegistry(loading, m.db) })
	all.Go(func() { l.run(loading) })
	keep := &streams{world: w, tally: t, grace: o.grace, most: min(4*time.Minute, o.duration/2)}
	for range steadyEvents {
		all.Go(func() {
			keep.hold(loading, "events, steady", func() *reference { return w.pick(&w.steady) }, openEvents)
		})
	}
	for range steadyWebSockets {
		all.Go(func() {
			keep.hold(loading, "WebSocket, steady", func() *reference { return w.pick(&w.steady) }, openWebSocket)
		})
	}
	for range movingEvents {
		all.Go(func() {
			keep.hold(loading, "events, moving", func() *reference { return w.pick(&w.moving) }, openEvents)
		})
	}
	happen := &faults{system: s, plan: planFor(o.duration), tally: t}
	d := newDirector(w, t)
	all.Go(func() { every(changing, happen.plan.change, func(int) { d.step(changing) }) })
	all.Go(func() { every(changing, happen.plan.reload, func(n int) { happen.reload(changing, n) }) })
	all.Go(func() { every(changing, happen.plan.redis, func(n int) { happen.loseRedis(changing, n) }) })
	all.Go(func() { every(changing, happen.plan.registry, func(n int) { happen.loseRegistry(changing, n) }) })
	all.Go(func() { every(changing, happen.plan.upstream, func(n int) { happen.loseUpstream(changing, n) }) })
	all.Go(func() { happen.restart(changing) })
	m.watch(loading, o.duration, t, out)
	all.Wait()

	took := time.Since(t.began)
	gatewaysUsed, allUsed := s.gatewaysUsed(), s.allUsed()
	if rest.after, err = s.quiet(ctx, rest.before, min(restLimit, o.duration)); err != nil {
		return nil, err
	}
	for _, err := range m.errs {
		t.fail("sample", when{t.began, t.began}, err)
	}
	for _, g := range s.gateways {
		if !g.process.running() {
			t.fail("gateway", when{}, fmt.Errorf("gateway %d has ended by itself: %s", g.number+1, g.process.cmd.ProcessState))
		}
	}
	if err := l.checkLimits(took, 1+s.redisDown.count()); err != nil {
		t.fail("over quota", when{}, err)
	}
	result := &outcome{
		machine: machine(), version: built, began: t.began, took: took, options: o, tally: t, quick: &l.quick, samples: m, admitted: l.admitted, rest: rest,
		cores:    (gatewaysUsed - gatewaysBefore).Seconds() / took.Seconds(),
		allCores: (allUsed - allBefore).Seconds() / took.Seconds(),
	}
	for i, measure := range measures {
		for g := range m.gateways {
			result.growth = append(result.growth, grow(measure, g, m.gateways[g][i], took))
		}
	}
	return result, nil
}

// watch takes samples until the context ends, and says each minute how it goes.
func (m *samples) watch(ctx context.Context, duration time.Duration, t *tally, out io.Writer) {
	between := min(10*time.Second, duration/20)
	tick := time.NewTicker(between)
	defer tick.Stop()
	for n := 0; ; n++ {
		// A forced collection each minute disturbs little.
		m.take(ctx, n%6 == 0 || duration < shortest)
		if n%6 == 0 {
			requests, failed := t.total()
			fmt.Fprintf(out, "%s of %s: %d requests, %d failures\n", time.Since(m.began).Round(time.Second), duration, requests, failed)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// warm asks for everything steady once on each gateway: what is cached is served whatever is away later.
func (l *load) warm(ctx context.Context) error {
	for _, g := range l.system.gateways {
		for _, list := range []*[]*reference{&l.steady, &l.slow, &l.mortal, &l.limited, &l.refused} {
			for _, r := range *list {
				w := when{from: time.Now()}
				answer, err := sendHTTP(ctx, g, naming(r).ask)
				if err != nil {
					return err
				}
				w.to = time.Now()
				if _, err := l.system.check(g, l.grace, r, w, read(answer)); err != nil {
					return fmt.Errorf("before the beginning: %w", err)
				}
				if answer.Status == 200 && r.leads.last().limited {
					l.admitted[r.value]++
				}
			}
		}
	}
	return nil
}

// readLog counts errors in a gateway's log, and fails for a panic.
func (o *outcome) readLog(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		text := lines.Text()
		if strings.HasPrefix(text, "panic:") || strings.HasPrefix(text, "fatal error:") || strings.Contains(text, "DATA RACE") || strings.Contains(text, `"msg":"panic`) {
			o.tally.fail("log", when{}, errors.New(text))
		}
		var line struct{ Level, Logger, Msg string }
		if json.Unmarshal([]byte(text), &line) == nil && (line.Level == "error" || line.Level == "panic" || line.Level == "fatal") {
			o.logged[line.Logger+": "+line.Msg]++
		}
	}
	return lines.Err()
}

// save writes the report and its picture.
func (o *outcome) save(options options) error {
	for path, write := range map[string]func(io.Writer) error{
		options.report: func(w io.Writer) error { return o.write(w, filepath.Base(options.graph)) },
		options.graph:  func(w io.Writer) error { return plot(w, o.samples, o.took) },
	} {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// machine says on what it ran.
func machine() string {
	name := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "model name"); ok {
				name = strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s, %s", runtime.NumCPU(), name, runtime.Version())
}

// version is the commit that was built, as far as git knows.
func version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
