package fleet

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// load is traffic on a fleet, as much as it takes.
type load struct {
	admitted, asked, slow atomic.Int64
	// busy is how long the stores were asked without a pause, in the mean; nanoseconds. While the machine does something else
	// nobody asks, and what the buckets then let overflow is nobody's fault.
	busy  atomic.Int64
	began time.Time
	stop  chan struct{}
	all   sync.WaitGroup
}

// mostBetween is how far apart two requests may be that still ask for all that there is: the buckets of these tests hold more.
const mostBetween = 50 * time.Millisecond

// startLoad asks each store again and again. A decision that takes longer than the bound is counted, for the log.
func startLoad(stores []*Store, limits []quota.Limit, bound time.Duration) *load {
	l := &load{began: time.Now(), stop: make(chan struct{})}
	for _, s := range stores {
		l.all.Go(func() {
			out := make([]quota.Status, len(limits))
			for last := time.Now(); ; {
				now := time.Now()
				l.busy.Add(int64(min(now.Sub(last), mostBetween)) / int64(len(stores)))
				last = now
				select {
				case <-l.stop:
					return
				default:
				}
				began := time.Now()
				if s.Take(began, 1, limits, out) {
					l.admitted.Add(1)
				}
				if time.Since(began) > bound {
					l.slow.Add(1)
				}
				l.asked.Add(1)
				time.Sleep(200 * time.Microsecond)
			}
		})
	}
	return l
}

// end returns what was admitted and for how long.
func (l *load) end() (admitted int64, took time.Duration) {
	close(l.stop)
	l.all.Wait()
	return l.admitted.Load(), time.Since(l.began)
}

// Promise: Redis killed, hung and started again empty under load: nobody waits longer than the timeout, and then nobody
// waits at all; the fleet as a whole admits its limit, at most one burst more, and what those admit who have not found Redis
// again before the others; and it comes back by itself.
func TestLossUnderLoad(t *testing.T) {
	for _, mode := range []Mode{ModeLease, ModeExact} {
		for name, fault := range map[string]struct{ begin, end func(*redis.Server) error }{
			"killed": {func(s *redis.Server) error { s.Stop(); return nil }, (*redis.Server).Restart},
			"hung":   {(*redis.Server).Pause, (*redis.Server).Resume},
		} {
			t.Run(string(mode)+" "+name, func(t *testing.T) {
				server := redis.Start(t, redis.Options{})
				const timeout = 200 * time.Millisecond
				stores := newFleet(t, server, 4, func(o *Options) {
					// A busy machine is not to be taken for one on which gateways have died.
					o.Mode, o.Timeout, o.Heartbeat = mode, timeout, time.Second
				})
				rate := mustRate(t, 400, time.Second, 100)
				load := startLoad(stores, limitsOf(1, rate), timeout+100*time.Millisecond)
				eventually(t, func() bool { return load.admitted.Load() > 200 })

				faulty := time.Now()
				if err := fault.begin(server); err != nil {
					t.Fatal(err)
				}
				for _, s := range stores {
					eventually(t, func() bool { return !s.Stats().Up })
				}
				mixed := time.Since(faulty) // in which some may use Redis and others not
				// One at a time waits for the one call that fails; from now on none does.
				calls := make([]int64, len(stores))
				for i, s := range stores {
					calls[i] = s.Stats().Calls
				}
				lost, began, busy, asked := load.admitted.Load(), time.Now(), load.busy.Load(), load.asked.Load()
				// That nobody waits shows by how many are decided while it is away, and not by a clock that others disturb.
				eventually(t, func() bool { return time.Since(began) > time.Second && load.asked.Load() > asked+1000 })
				least := int64(400 * time.Duration(load.busy.Load()-busy).Seconds() / 2)
				rest := load.admitted.Load() - lost
				if most := int64(100 + 400*time.Since(began).Seconds() + 10); rest > most || rest < least {
					t.Errorf("%d were admitted without Redis in %v, of %d, and at least %d", rest, time.Since(began), most, least)
				}
				for i, s := range stores {
					// What goes on are attempts to reach it, further and further apart.
					if made := s.Stats().Calls - calls[i]; made > 20 {
						t.Errorf("%d calls of a Redis that is lost", made)
					}
				}
				returns := time.Now()
				if err := fault.end(server); err != nil {
					t.Fatal(err)
				}
				for _, s := range stores {
					eventually(t, func() bool { return s.Stats().Up && s.Stats().Nodes == 4 })
				}
				mixed += time.Since(returns)
				back := load.admitted.Load()
				eventually(t, func() bool { return load.admitted.Load() > back+200 })
				admitted, took := load.end()
				// One burst more for each loss: there is more than one where the machine is too busy for the timeout.
				losses := int64(0)
				for _, s := range stores {
					losses = max(losses, s.Stats().Losses)
				}
				most := (1+losses)*rate.Burst() + int64(400*(took+mixed).Seconds()) + 1
				least = int64(0.6 * 400 * time.Duration(load.busy.Load()).Seconds())
				t.Logf("%d of %d in %v, at least %d, %d slow of %d, %d losses, mixed %v", admitted, most, took, least, load.slow.Load(), load.asked.Load(), losses, mixed)
				if admitted > most || admitted < least {
					t.Errorf("%d were admitted in %v, of %d, and at least %d", admitted, took, most, least)
				}
			})
		}
	}
}

// Promise: a loss is one line in the log, and the return another; neither shows the password.
func TestLossIsLoggedOnce(t *testing.T) {
	server := redis.Start(t, redis.Options{User: "gate", Password: "very-secret"})
	var log logged
	s := newStore(t, server, func(o *Options) { o.Logger, o.Timeout = slog.New(slog.NewTextHandler(&log, nil)), 200*time.Millisecond })
	limits, out := limitsOf(1, mustRate(t, 1000, time.Second, 0)), make([]quota.Status, 1)
	server.Stop()
	eventually(t, func() bool { return !s.Stats().Up })
	for range 1000 {
		if !s.Take(time.Now(), 1, limits, out) {
			break
		}
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return s.Stats().Up && strings.Contains(log.String(), "redis is back") })
	text := log.String()
	if n := strings.Count(text, "redis is lost"); n != 1 {
		t.Errorf("%d lines about the loss", n)
	}
	if n := strings.Count(text, "redis is back"); n != 1 {
		t.Errorf("%d lines about the return", n)
	}
	if strings.Contains(text, "very-secret") || strings.Contains(text, "gate:") {
		t.Errorf("the log shows the password:\n%s", text)
	}
}

// Promise: a link that goes up and down fills no log: there is a line about a return only where there was one about the
// loss; and a loss that lasts is logged, also when it comes a moment after another.
func TestFlappingIsNotLogged(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	var log logged
	s := newStore(t, server, func(o *Options) { o.Logger, o.Timeout = slog.New(slog.NewTextHandler(&log, nil)), 200*time.Millisecond })
	count := func(text string) int { return strings.Count(log.String(), text) }
	for range 3 {
		server.Stop()
		eventually(t, func() bool { return !s.Stats().Up })
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return s.Stats().Up })
	}
	// On a slow machine there is time for more than one of each.
	lost := count("redis is lost")
	if back := count("redis is back"); lost == 0 || back > lost || s.Stats().Losses < 3 {
		t.Errorf("%d losses, %d lines about one, %d about a return", s.Stats().Losses, lost, back)
	}
	server.Stop()
	eventually(t, func() bool { return !s.Stats().Up })
	s.link.logged.Add(-int64(logPause)) // the time passes
	eventually(t, func() bool { return count("redis is lost") > lost })
}

// Promise: without Redis, on_loss allow admits everything, deny nothing that has a limit, and local this node's share.
func TestOnLoss(t *testing.T) {
	month, err := quota.NewAllowance(9, quota.PeriodMonth)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		limits []quota.Limit
		local  int
	}{
		{"rate", limitsOf(1, quotatest.Slow(t, 20)), 5},
		{"allowance", []quota.Limit{{Key: quotatest.Key(quota.ScopeTenant, 1), Allowance: month}}, 9},
		{"slots", []quota.Limit{{Key: quotatest.Key(quota.ScopeTenant, 1), Concurrent: 12}}, 3},
		{"few slots", []quota.Limit{{Key: quotatest.Key(quota.ScopeTenant, 1), Concurrent: 2}}, 1},
		{"shadow", []quota.Limit{{Key: quotatest.Key(quota.ScopeTenant, 1), Rate: quotatest.Slow(t, 4), Shadow: true}}, 50},
		{"two", append(limitsOf(1, quotatest.Slow(t, 40)), quota.Limit{Key: quotatest.Key(quota.ScopeRoute, 1), Concurrent: 12}), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for loss, want := range map[OnLoss]int{LossLocal: tt.local, LossAllow: 50, LossDeny: 0} {
				server := redis.Start(t, redis.Options{})
				stores := newFleet(t, server, 4, func(o *Options) { o.OnLoss = loss })
				server.Stop()
				eventually(t, func() bool { return !stores[0].Stats().Up })
				if tt.name == "shadow" {
					want = 50
				}
				if n := quotatest.Drain(stores[0], tt.limits, 50); n != want {
					t.Errorf("%s: %d passed, want %d", loss, n, want)
				}
				out := make([]quota.Status, len(tt.limits))
				if loss == LossDeny && want == 0 {
					if stores[0].Take(time.Now(), 1, tt.limits, out) || quota.RetryAfter(out) != time.Second {
						t.Errorf("%+v", out)
					}
				}
			}
		})
	}
}

// Promise: with on_loss deny not even what is on lease is given while Redis is lost, and it is given again afterwards.
func TestDenyWithLeases(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.OnLoss = LossDeny })
	limits, out := limitsOf(1, quotatest.Slow(t, 1000)), make([]quota.Status, 1)
	cell := func() int64 { return s.find(&id{limits[0].Key, kindRate}).gather() }
	eventually(t, func() bool { return s.Take(time.Now(), 1, limits, out) && cell() > 0 })
	server.Stop()
	eventually(t, func() bool { return !s.Stats().Up })
	if left := cell(); s.Take(time.Now(), 1, limits, out) || cell() != left {
		t.Errorf("admitted with %d on lease", left)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return s.Take(time.Now(), 1, limits, out) })
}

// Promise: what was admitted without Redis is told when it is back: a tenant gets no second bucket, no second allowance,
// and slots that are taken stay taken.
func TestLossIsSettled(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	stores := newFleet(t, server, 2, nil)
	month, err := quota.NewAllowance(1000, quota.PeriodMonth)
	if err != nil {
		t.Fatal(err)
	}
	k := quotatest.Key(quota.ScopeTenant, 1)
	rate, allowance := limitsOf(1, quotatest.Slow(t, 100)), []quota.Limit{{Key: k, Allowance: month}}
	slots := []quota.Limit{{Key: k, Concurrent: 10}}
	out := make([]quota.Status, 1)
	for _, l := range [][]quota.Limit{rate, allowance} {
		stores[0].Take(time.Now(), 1, l, out)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		eventually(t, func() bool { return !s.Stats().Up })
	}
	if n := quotatest.Drain(stores[0], rate, 200); n > 50 || n < 40 {
		t.Errorf("%d requests without Redis, of a share of 50", n)
	}
	spent := quotatest.Drain(stores[0], allowance, 300)
	taken := quotatest.Drain(stores[0], slots, 20)
	if spent != 300 || taken != 5 {
		t.Fatalf("%d of an allowance and %d slots without Redis", spent, taken)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		eventually(t, func() bool { return s.Stats().Up })
	}
	eventually(t, func() bool {
		for _, k := range []kind{kindRate, kindMonth, kindConcurrent} {
			c := stores[0].find(&id{quotatest.Key(quota.ScopeTenant, 1), k})
			if c != nil && (c.owed.Load() != 0 || c.lossy.Load() || c.queued.Load()) {
				return false
			}
		}
		return true
	})
	// Another gateway finds what is left.
	if n := quotatest.Drain(stores[1], rate, 200); n > 60 {
		t.Errorf("%d of the rate are left, of 100", n)
	}
	if n := quotatest.Drain(stores[1], allowance, 2000); n > 1000-spent-1 || n < 1000-spent-200 {
		t.Errorf("%d of the allowance are left, of %d", n, 1000-spent-1)
	}
	if n := quotatest.Drain(stores[1], slots, 20); n != 5 {
		t.Errorf("%d slots are left, of 5", n)
	}
	for range taken {
		stores[0].Release(slots)
	}
	eventually(t, func() bool { return stores[1].Take(time.Now(), 1, slots, out) })
}

// Promise: a Redis that has become a replica, that has forgotten the scripts, or that forgets all, is coped with.
func TestRedisChanges(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Heartbeat = 20 * time.Millisecond })
	limits, out := limitsOf(1, mustRate(t, 1000, time.Second, 0)), make([]quota.Status, 1)
	s.Take(time.Now(), 1, limits, out)

	failures := s.Stats().Losses
	server.Must(t, "SCRIPT", "FLUSH")
	for n := range 50 {
		if !s.Take(time.Now(), 1, limitsOf(n, limits[0].Rate), out) {
			t.Fatal("refused after the scripts were gone")
		}
	}
	if s.Stats().Losses != failures {
		t.Error("a script that has to be sent again counts as a loss")
	}

	other := redis.Start(t, redis.Options{})
	host, port, _ := strings.Cut(other.Addr(), ":")
	server.Must(t, "REPLICAOF", host, port)
	eventually(t, func() bool { return !s.Stats().Up })
	if !s.Take(time.Now(), 1, limits, out) {
		t.Error("refused by a replica")
	}
	server.Must(t, "REPLICAOF", "NO", "ONE")
	eventually(t, func() bool { return s.Stats().Up })

	// After Redis has lost everything, who had spent a bucket has still spent it.
	slow := limitsOf(1000, quotatest.Slow(t, 50))
	if n := quotatest.Drain(s, slow, 100); n != 50 {
		t.Fatalf("%d passed", n)
	}
	server.Must(t, "FLUSHALL")
	if n := quotatest.Drain(s, slow, 100); n != 0 {
		t.Errorf("%d of a bucket that is spent passed after Redis had lost it", n)
	}
}

// Promise: a key that somebody has broken concerns one limit of one tenant; the others never notice.
func TestBrokenKey(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, nil)
	broken, sound := limitsOf(1, quotatest.Slow(t, 5)), limitsOf(2, quotatest.Slow(t, 5))
	name := string(appendName(nil, DefaultPrefix, &broken[0].Key.ID, &id{broken[0].Key, kindRate}, time.Time{}))
	server.Must(t, "SET", name, "nonsense")
	if n := quotatest.Drain(s, broken, 10); n != 5 {
		t.Errorf("%d passed, want the 5 of the local store", n)
	}
	if n := quotatest.Drain(s, sound, 10); n != 5 || s.Stats().Losses != 0 {
		t.Errorf("%d passed; %d losses", n, s.Stats().Losses)
	}
}

// Promise: a gateway that starts while Redis is down decides by itself, says so, and joins when Redis is there.
func TestStartWithoutRedis(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	server.Stop()
	address, err := ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	var log logged
	s, err := New(Options{Address: address, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if n := quotatest.Drain(s, limitsOf(1, quotatest.Slow(t, 5)), 10); n != 5 {
		t.Errorf("%d passed, want 5", n)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return s.Stats().Up })
	if n := strings.Count(log.String(), "redis is lost"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// Promise: a Redis that comes back empty and goes again before all gateways have told it of themselves does not make each of
// them take itself for the only one: together they admit no more than the limit, however often that happens.
func TestLossAfterLoss(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	stores := newFleet(t, server, 4, func(o *Options) { o.Heartbeat = 2 * time.Second })
	for n := range 2 {
		server.Stop()
		for _, s := range stores {
			eventually(t, func() bool { return !s.Stats().Up })
		}
		total := 0
		for _, s := range stores {
			total += quotatest.Drain(s, limitsOf(n, quotatest.Slow(t, 40)), 50)
		}
		if total != 40 {
			t.Errorf("%d passed after loss %d, of 40", total, n+1)
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		for _, s := range stores {
			eventually(t, func() bool { return s.Stats().Up })
		}
	}
}

// Promise: a Redis that hangs and goes on costs nobody a part of an allowance: what its last calls have leased, and nobody was
// told of, goes back. Only the request may count for which such a call was made, though it was decided without it.
func TestHangsCostNoAllowance(t *testing.T) {
	const most, hangs = 5000, 3
	month, err := quota.NewAllowance(most, quota.PeriodMonth)
	if err != nil {
		t.Fatal(err)
	}
	limits := []quota.Limit{{Name: "month", Key: quotatest.Key(quota.ScopeTenant, 1), Allowance: month}}
	server := redis.Start(t, redis.Options{})
	stores := newFleet(t, server, 4, func(o *Options) { o.Timeout = 500 * time.Millisecond })
	load := startLoad(stores, limits, time.Minute)
	for n := range int64(hangs) {
		// Every store has something on lease, and fetches more now and then.
		eventually(t, func() bool { return load.admitted.Load() > (n+1)*most/(hangs+2) })
		if err := server.Pause(); err != nil {
			t.Fatal(err)
		}
		for _, s := range stores {
			eventually(t, func() bool { return !s.Stats().Up })
		}
		if err := server.Resume(); err != nil {
			t.Fatal(err)
		}
		for _, s := range stores {
			eventually(t, func() bool { return s.Stats().Up })
		}
	}
	failures := func() (n int64) {
		for _, s := range stores {
			n += s.Stats().Failures
		}
		return n
	}
	defer func() { t.Logf("%d of %d were admitted; %d calls failed", load.admitted.Load(), most, failures()) }()
	eventually(t, func() bool { return load.admitted.Load() >= most-failures() })
	load.end()
}
