package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/test/redis"
)

// timedScript is the script with a clock that the test moves, in µs, in place of Redis's.
var timedScript = rueidis.NewLuaScript("local now = tonumber(ARGV[#ARGV])\n" + takeLua)

// bench is a Redis whose script is called by the test itself.
type bench struct {
	client rueidis.Client
	now    int64 // µs
	seq    int64
}

func newBench(t *testing.T) *bench {
	t.Helper()
	server := redis.Start(t, redis.Options{})
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &bench{client: client, now: 1_700_000_000_000_000}
}

const benchLife = 10 * time.Second

func (b *bench) call(t *testing.T, node string, parts ...part) []part {
	t.Helper()
	b.seq++
	if err := b.callSeq(node, b.seq, parts); err != nil {
		t.Fatal(err)
	}
	return parts
}

func (b *bench) callSeq(node string, seq int64, parts []part) error {
	keys, args := takeArgs(node, seq, benchLife, 2, parts)
	return readAnswer(timedScript.Exec(context.Background(), b.client, keys, append(args, integer(b.now))), parts)
}

// ratePart is a part of a rate with an interval of whole microseconds.
func ratePart(name string, r quota.Rate, need, want int64) part {
	return part{
		name: name, kind: kindRate, size: r.Burst(), step: float64(r.Period().Microseconds()) / float64(r.Requests()),
		need: need, want: want,
	}
}

// Promise: without leases the script decides what the local store decides, request by request, over random schedules.
func TestScriptIsGCRA(t *testing.T) {
	b := newBench(t)
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		rates := []quota.Rate{
			mustRate(t, 60, time.Minute, 20), mustRate(t, 10, time.Second, 5), mustRate(t, 1000, time.Second, 1), mustRate(t, 1, time.Hour, 3),
		}
		r := rates[rnd.IntN(len(rates))]
		now := time.UnixMicro(b.now)
		local := quota.NewLocal(quota.LocalOptions{Now: func() time.Time { return now }})
		limits, out := []quota.Limit{{Rate: r}}, make([]quota.Status, 1)
		interval := r.Period().Microseconds() / r.Requests()
		for i := range 100 {
			switch rnd.IntN(4) {
			case 0:
			case 1:
				b.now += interval
			case 2:
				b.now += rnd.Int64N(2 * interval)
			case 3:
				b.now += rnd.Int64N(2*interval*r.Burst()) / 4
			}
			now = time.UnixMicro(b.now)
			cost := 1 + rnd.Int64N(r.Burst()+1)*rnd.Int64N(2)
			want := local.Take(now, cost, limits, out)
			p := b.call(t, "", ratePart(fmt.Sprintf("gcra%d", seed), r, cost, 0))[0]
			if p.fits != want {
				t.Fatalf("%v, step %d, cost %d: %v, want %v", r, i, cost, p.fits, want)
			}
			if got, want := time.Duration(p.level)*time.Microsecond, out[0].Reset; got < want-time.Microsecond || got > want+2*time.Microsecond {
				t.Fatalf("%v, step %d: full in %v, want %v", r, i, got, want)
			}
			if !want && out[0].RetryAfter != quota.Never {
				if got := time.Duration(p.retry) * time.Microsecond; got < out[0].RetryAfter-time.Microsecond || got > out[0].RetryAfter+2*time.Microsecond {
					t.Fatalf("%v, step %d: retry in %v, want %v", r, i, got, out[0].RetryAfter)
				}
			}
		}
	}
}

// gateway is what a node knows of one limit in [TestLeasesHoldTheRate].
type gateway struct {
	name    string
	tokens  int64
	expires int64
}

// spent is an admission.
type spent struct{ at, n int64 }

// Promise: whatever nodes do with their leases (spend them late, give them back, crash with them, lose an answer), over
// any stretch of Redis's time no more is admitted than the burst plus the rate times the stretch.
func TestLeasesHoldTheRate(t *testing.T) {
	b := newBench(t)
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		r := []quota.Rate{
			mustRate(t, 60, time.Minute, 20), mustRate(t, 10, time.Second, 5), mustRate(t, 100, time.Second, 100), mustRate(t, 5, time.Second, 1),
		}[seed%4]
		key, interval := fmt.Sprintf("rate%d", seed), r.Period().Microseconds()/r.Requests()
		var log []spent
		nodes := make([]*gateway, 3)
		for i := range nodes {
			nodes[i] = &gateway{name: fmt.Sprintf("%d-%d", seed, i)}
		}
		for range 300 {
			b.now += rnd.Int64N(interval*max(r.Burst()/8, 2)) * rnd.Int64N(2)
			if rnd.IntN(60) == 0 {
				b.now += benchLife.Microseconds()
			}
			n := nodes[rnd.IntN(len(nodes))]
			if b.now >= n.expires {
				n.tokens = 0
			}
			switch rnd.IntN(12) {
			case 0: // gives back
				p := ratePart(key, r, 0, 0)
				p.back = n.tokens
				b.call(t, n.name, p)
				n.tokens = 0
			case 1: // crashes, and starts anew
				*n = gateway{name: fmt.Sprintf("%s'", n.name)}
			case 2: // an answer is lost
				p := ratePart(key, r, 1, rnd.Int64N(10))
				p.held = n.tokens
				b.call(t, n.name, p)
			case 3: // a call of long ago arrives now
				p := ratePart(key, r, 1, 5)
				if err := b.callSeq(n.name, 1, []part{p}); err == nil && n.tokens > 0 {
					t.Fatal("a call that was overtaken was answered")
				}
			case 4, 5, 6: // asks
				p := ratePart(key, r, 1+rnd.Int64N(2), rnd.Int64N(2*r.Burst()))
				p.held = n.tokens
				p = b.call(t, n.name, p)[0]
				n.tokens += p.extra
				n.expires = b.now + benchLife.Microseconds()
				if p.fits {
					log = append(log, spent{b.now, p.need})
				}
			default: // spends
				if k := rnd.Int64N(n.tokens + 1); k > 0 {
					n.tokens -= k
					log = append(log, spent{b.now, k})
				}
			}
		}
		if len(log) < 10 {
			t.Fatalf("seed %d: only %d admissions", seed, len(log))
		}
		for i := range log {
			sum := -r.Burst()
			for j := i; j < len(log); j++ {
				sum += log[j].n
				if sum*interval > log[j].at-log[i].at {
					t.Fatalf("seed %d: %d beyond the burst within %d µs of %v", seed, sum, log[j].at-log[i].at, r)
				}
			}
		}
	}
}

// Promise: what is leased and given back, or not spent, is not lost: two nodes that take turns get the whole rate.
func TestLeasesAreNotLost(t *testing.T) {
	b := newBench(t)
	r := mustRate(t, 10, time.Second, 10)
	held, admitted := [2]int64{}, int64(0)
	for step := range 1000 { // 100 s
		i := step / 7 % 2
		p := ratePart("turns", r, 1, 2)
		p.held = held[i]
		p = b.call(t, fmt.Sprint("node", i), p)[0]
		held[i] += p.extra
		if p.fits {
			admitted++
		}
		admitted += held[i]
		held[i] = 0
		b.now += 100_000
	}
	if admitted < 1000 || admitted > 1010 {
		t.Errorf("%d of 1010 were admitted", admitted)
	}
}

// Promise: all limits of a request are taken together or none is, and a soft one decides nothing.
func TestScriptAllOrNone(t *testing.T) {
	b := newBench(t)
	large, small := mustRate(t, 1, time.Hour, 10), mustRate(t, 1, time.Hour, 2)
	for i := range 5 {
		p := b.call(t, "n", ratePart("{x}large", large, 1, 0), ratePart("{x}small", small, 1, 0))
		if got, want := p[0].fits && p[1].fits, i < 2; got != want {
			t.Fatalf("call %d: %v, want %v", i, got, want)
		}
	}
	soft := ratePart("{x}small", small, 1, 0)
	soft.soft = true
	p := b.call(t, "n", ratePart("{x}large", large, 8, 0), soft)
	if !p[0].fits || p[1].fits {
		t.Errorf("%+v: what was refused before must not have been taken", p)
	}
	if p := b.call(t, "n", ratePart("{x}large", large, 1, 0), soft); p[0].fits {
		t.Errorf("%+v: 10 were taken", p)
	}
}

// Promise: an allowance counts every request once, begins with what is known to be used, and a lease that ends counts as
// used.
func TestScriptAllowance(t *testing.T) {
	b := newBench(t)
	ask := func(node string, need, want, held, back, hint int64) part {
		return b.call(t, node, part{
			name: "allowance", kind: kindMonth, size: 100, step: float64(time.Now().Add(24 * time.Hour).UnixMilli()),
			need: need, want: want, held: held, back: back, hint: float64(hint),
		})[0]
	}
	if p := ask("a", 10, 0, 0, 0, 40); !p.fits || p.level != 50 {
		t.Fatalf("%+v", p)
	}
	if p := ask("b", 0, 8, 0, 0, 50); p.extra != 8 || p.level != 42 {
		t.Fatalf("%+v", p)
	}
	// b has spent 3 of its 8; what it knows itself includes them, and they are counted once.
	if p := ask("b", 0, 0, 5, 0, 53); p.level != 42 {
		t.Fatalf("%+v", p)
	}
	if p := ask("b", 0, 0, 0, 5, 53); p.level != 47 {
		t.Fatalf("%+v: 5 were given back", p)
	}
	if p := ask("b", 48, 0, 0, 0, 53); p.fits {
		t.Fatalf("%+v", p)
	}
	if p := ask("c", 0, 6, 0, 0, 0); p.extra != 6 {
		t.Fatalf("%+v", p)
	}
	b.now += benchLife.Microseconds()
	if p := ask("b", 41, 0, 0, 0, 0); !p.fits || p.level != 0 {
		t.Fatalf("%+v: c has ended with 6", p)
	}
}

// Promise: slots belong to nodes, and those of a node that is not heard of any more are free again.
func TestScriptConcurrency(t *testing.T) {
	b := newBench(t)
	ask := func(node string, need, held int64) part {
		return b.call(t, node, part{name: "slots", kind: kindConcurrent, size: 10, need: need, held: held})[0]
	}
	if p := ask("a", 6, 0); !p.fits || p.level != 4 {
		t.Fatalf("%+v", p)
	}
	if p := ask("b", 5, 0); p.fits {
		t.Fatalf("%+v", p)
	}
	if p := ask("b", 4, 0); !p.fits || p.level != 0 {
		t.Fatalf("%+v", p)
	}
	b.now += benchLife.Microseconds() / 2
	if p := ask("b", 0, 4); p.level != 0 {
		t.Fatalf("%+v", p)
	}
	b.now += benchLife.Microseconds() / 2
	if p := ask("b", 6, 4); !p.fits || p.level != 0 {
		t.Fatalf("%+v: a is gone", p)
	}
}

// Promise: a Redis whose clock goes back (another server has taken over) hands out no fresh bucket and locks nobody out.
func TestScriptClockBack(t *testing.T) {
	b := newBench(t)
	r := mustRate(t, 10, time.Second, 5)
	b.call(t, "n", ratePart("back", r, 5, 0))
	b.now -= 3600_000_000
	if p := b.call(t, "n", ratePart("back", r, 1, 0))[0]; p.fits || p.retry > 100_001 {
		t.Fatalf("%+v", p)
	}
	b.now += 500_000
	if p := b.call(t, "n", ratePart("back", r, 5, 0))[0]; !p.fits {
		t.Fatalf("%+v", p)
	}
}
