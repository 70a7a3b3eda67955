package e2e_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/redis"
)

// redisFault is a way to lose Redis, which the gateways reach through a proxy.
type redisFault struct {
	begin, end func(*testing.T, *redis.Server, *harness.Proxy)
}

var redisFaults = map[string]redisFault{
	"killed": { // SIGKILL; what comes back is empty
		func(_ *testing.T, s *redis.Server, _ *harness.Proxy) { s.Stop() },
		func(t *testing.T, s *redis.Server, _ *harness.Proxy) { do(t, s.Restart()) },
	},
	"paused": { // SIGSTOP
		func(t *testing.T, s *redis.Server, _ *harness.Proxy) { do(t, s.Pause()) },
		func(t *testing.T, s *redis.Server, _ *harness.Proxy) { do(t, s.Resume()) },
	},
	"hung": { // connections are taken, and nothing ever comes back
		func(_ *testing.T, _ *redis.Server, p *harness.Proxy) { p.Hang() },
		func(_ *testing.T, _ *redis.Server, p *harness.Proxy) { p.Resume() },
	},
	"cut": { // connections are reset and refused
		func(_ *testing.T, _ *redis.Server, p *harness.Proxy) { p.Down() },
		func(t *testing.T, _ *redis.Server, p *harness.Proxy) { p.Up(t) },
	},
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	// redisTimeout is how long a request waits for Redis in these tests, redisAway how long Redis is away at least. A request
	// that takes less than that has not waited for its return, whatever a busy machine makes of the timeout.
	redisTimeout = 500 * time.Millisecond
	redisAway    = 4 * time.Second
)

// lossLimits are those of acme and globex: a second's requests are twice the burst of the one, and the other's never come to it.
var lossLimits = [2]rateLimit{{6000, time.Minute, 50, 1}, {60, time.Minute, 20, 1}}

// Promise: Redis killed and started again empty, paused, hung and cut off, under load on four gateways, costs no client an error
// and none a wait beyond the timeout. While it is away, each gateway gives its share of each limit, or everything, or nothing, as
// on_loss says; all of them together never more than one burst above the limit. One line in the log says so, and the metrics do.
// Then they share again, to the request, without a restart.
func TestFleetLosesRedis(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ fault, onLoss string }{
		{"killed", "local"}, {"paused", "local"}, {"hung", "local"}, {"cut", "local"}, {"paused", "allow"}, {"killed", "deny"},
	} {
		t.Run(tt.fault+" "+tt.onLoss, func(t *testing.T) {
			t.Parallel()
			l := newLoss(t, tt.onLoss)
			harness.Throughout(t, 1500*time.Millisecond, l.list.ended)
			l.lose(t, redisFaults[tt.fault])
			l.sharesAgain(t)
			l.end(t)
		})
	}
}

// loss is a fleet under load that loses Redis.
type loss struct {
	onLoss  string
	server  *redis.Server
	proxy   *harness.Proxy
	list    gateways
	streams [2]*traffic
	// mixed is for how long, in ns, some gateways may have used Redis while others did not: when it went, and when it came
	// back.
	mixed int64
}

func newLoss(t *testing.T, onLoss string) *loss {
	t.Helper()
	d := someTenants(startUpstreams(t))
	for i, r := range lossLimits {
		d.Tenants[i].Quotas = map[string]int{"apiRateLimit": r.requests, "burst": r.burst}
	}
	b := fileBackend(t)
	b.load(t, d)
	l := &loss{onLoss: onLoss, server: redis.Start(t, redis.Options{})}
	l.proxy = harness.StartProxy(t, l.server.Addr())
	l.list = startFleet(t, b, "redis://"+l.proxy.Address, fmt.Sprintf("timeout %s\non_loss %s", redisTimeout, onLoss), harness.Options{})
	l.streams[0] = send(t, l.list, harness.Ask{Host: "acme.app.test"}, 240, evenly)
	l.streams[1] = send(t, l.list, harness.Ask{Host: "globex.app.test"}, 20, evenly)
	return l
}

// lose takes Redis away for a while, and looks at what is decided without it.
func (l *loss) lose(t *testing.T, f redisFault) {
	t.Helper()
	fault := time.Now().UnixNano()
	f.begin(t, l.server, l.proxy)
	l.list.await(t, "tenantgate_quota_redis_up", 0)
	from := time.Now().UnixNano()
	harness.Throughout(t, redisAway, l.list.ended)
	to := time.Now().UnixNano()
	f.end(t, l.server, l.proxy)
	l.list.share(t)
	l.mixed = from - fault + time.Now().UnixNano() - to

	for i, s := range l.streams {
		var alone []ask
		for _, a := range s.soFar() {
			if a.sent >= from && a.received <= to {
				alone = append(alone, a)
			}
		}
		limit := lossLimits[i]
		v := limit.judge(alone, 0)
		t.Logf("tenant %d, without Redis: %d of %d admitted, the limit gives %.1f to %.1f", i, v.admitted, v.asked, v.least, v.most)
		switch l.onLoss {
		case "allow":
			if v.asked == 0 || v.admitted < v.asked {
				t.Errorf("tenant %d: %d of %d were admitted without Redis", i, v.admitted, v.asked)
			}
		case "deny":
			if v.asked == 0 || v.admitted > 0 {
				t.Errorf("tenant %d: %d of %d were admitted without Redis", i, v.admitted, v.asked)
			}
		default:
			// The shares make up the limit. On top of it comes what was on lease, and what a gateway did not know to be spent:
			// a burst at the most.
			if float64(v.admitted) > v.most+float64(limit.burst) {
				t.Errorf("tenant %d: %d were admitted without Redis, the limit gives %.1f", i, v.admitted, v.most)
			}
			// Each of them may be one request short of its share.
			if float64(v.admitted) < 0.8*float64(v.ideal)-fleetSize {
				t.Errorf("tenant %d: only %d were admitted without Redis, one bucket would have given %d", i, v.admitted, v.ideal)
			}
		}
	}
}

// sharesAgain holds what is admitted after the return against the limit, as if nothing had been: never more, and sooner or later
// as much as was asked for.
func (l *loss) sharesAgain(t *testing.T) {
	t.Helper()
	const measures = 5
	limit := lossLimits[0]
	for n := 1; ; n++ {
		harness.Throughout(t, time.Second, l.list.ended) // what was admitted without Redis is told
		losses := l.list.sum(t, "tenantgate_quota_redis_losses_total")
		from := time.Now().UnixNano()
		harness.Throughout(t, 3*time.Second, l.list.ended)
		var asks []ask
		for _, a := range l.streams[0].soFar() {
			if a.sent >= from {
				asks = append(asks, a)
			}
		}
		v := limit.judge(asks, 0)
		again := l.list.sum(t, "tenantgate_quota_redis_losses_total") > losses
		t.Logf("afterwards: %d of %d admitted, the limit gives %.1f to %.1f, one bucket %d, excess %.2f", v.admitted, v.asked, v.least,
			v.most, v.ideal, v.excess)
		if !again && (v.excess > limit.in(int64(time.Microsecond)) || float64(v.admitted) > v.most) {
			t.Errorf("after the return %d were admitted, the limit gives %.1f; %.2f too many in some stretch", v.admitted, v.most, v.excess)
		}
		switch {
		case !again && v.demanded() && v.enough():
			return
		case n < measures:
			continue
		case again:
			t.Logf("in %d tries Redis did not answer in time, on a machine that is too busy", n)
		case v.demanded() || !v.enoughFor():
			t.Errorf("after the return only %d were admitted, the limit gives %.1f, one bucket %d, and too few in %d tries before", v.admitted,
				v.least, v.ideal, n-1)
		default:
			t.Logf("in %d tries this machine did not send as much as the limit gives", n)
		}
		return
	}
}

// end looks at all that was answered, and at what the gateways say of the loss.
func (l *loss) end(t *testing.T) {
	t.Helper()
	losses := l.list.sum(t, "tenantgate_quota_redis_losses_total")
	for i, s := range l.streams {
		r := s.stop()
		if r.Failures > 0 || r.Statuses[http.StatusTooManyRequests] == 0 || r.Slowest > redisAway {
			t.Errorf("tenant %d: %s", i, r)
		}
		limit := lossLimits[i]
		v := limit.judge(s.soFar(), float64(limit.burst))
		t.Logf("tenant %d: %v, the limit gives %.1f to %.1f, excess %.2f", i, r, v.least, v.most, v.excess)
		// A burst for the loss of what Redis knew; and as long as some use Redis, the shares of those that do not come on top.
		most := float64(limit.burst) + limit.in(l.mixed)
		if losses > fleetSize {
			// This machine is so busy that Redis takes longer than the timeout by itself: each loss of each gateway may cost as much.
			most = losses * (float64(limit.burst) + limit.in(l.mixed))
		}
		if l.onLoss != "allow" && v.excess > most {
			t.Errorf("tenant %d: %d were admitted, the limit gives %.1f; in some stretch %.2f too many, of at most %.2f", i, v.admitted,
				v.most, v.excess, most)
		}
	}
	for i, g := range l.list {
		lost, lines := metricOf(t, g, "tenantgate_quota_redis_losses_total"), strings.Count(g.Log(t), "redis is lost")
		// Losses within ten seconds are one line.
		if lost < 1 || lines < 1 || lines > int(math.Max(lost, 1)) {
			t.Errorf("gateway %d: %d lines about %v losses", i, lines, lost)
		}
	}
	l.list.stop(t)
}
