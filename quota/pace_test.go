package quota

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowPage is a page whose calls to save take some time.
type slowPage struct {
	page
	takes time.Duration

	mu    sync.Mutex
	began []time.Time
	sizes []int
	last  [16]byte
	falls int // how often a call began with a tenant before the last one of the call before
	fail  int // the number of the call that fails; 0 is none
}

func (p *slowPage) Save(ctx context.Context, records []Record) error {
	p.mu.Lock()
	p.began = append(p.began, time.Now())
	p.sizes = append(p.sizes, len(records))
	ordered := slices.IsSortedFunc(records, func(x, y Record) int { return bytes.Compare(x.Tenant[:], y.Tenant[:]) })
	if bytes.Compare(records[0].Tenant[:], p.last[:]) < 0 || !ordered {
		p.falls++
	}
	p.last = records[len(records)-1].Tenant
	fails := len(p.began) == p.fail
	p.mu.Unlock()
	time.Sleep(p.takes)
	if fails {
		return errors.New("the call fails")
	}
	return p.page.Save(ctx, records)
}

// calls returns when calls with more than one record began, and their sizes added up.
func (p *slowPage) calls() (began []time.Time, records int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range p.sizes {
		if n > 1 {
			began = append(began, p.began[i])
			records += n
		}
	}
	return began, records
}

func startSlow(p *slowPage, most time.Duration) *gateway {
	return startGateway(p.book, p.node, func(o *UsageOptions) { o.Sink, o.MaxFlush = p, most })
}

// counted is a limit that only counts.
func counted(n int) Limit {
	return Limit{Name: "day", Key: tenantKey(n), Allowance: Allowance{0, PeriodDay}}
}

// countAll counts once for each of the tenants from 1 to n, the last first.
func (g *gateway) countAll(n int) {
	for i := n; i > 0; i-- {
		g.take(1, counted(i))
	}
}

// recorded returns what is recorded of each key.
func (b *book) recorded() map[Key]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	sums := make(map[Key]int64)
	for a, nodes := range b.rows {
		for _, used := range nodes {
			sums[a.Key] += used
		}
	}
	return sums
}

// wantRecorded fails unless each of the tenants from 1 to n is recorded with so much.
func wantRecorded(t *testing.T, b *book, n int, want int64) {
	t.Helper()
	recorded := b.recorded()
	for i := 1; i <= n; i++ {
		if got := recorded[tenantKey(i)]; got != want {
			t.Fatalf("tenant %d: %d are recorded, not %d", i, got, want)
		}
	}
}

// Promise: writing what many tenants have used, of whom no limit asks, takes no more than a sixteenth of the time, in the
// order of the registry's index, each tenant once; who has a limit is written each second all the same; and in the end all
// is written.
func TestFlushIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, takes = 5 * saveSize, 10 * time.Millisecond
		p := &slowPage{page: page{newBook(), "node"}, takes: takes}
		g := startSlow(p, time.Minute)
		defer g.stop()
		g.countAll(n)
		time.Sleep(1300 * time.Millisecond) // the first is under way
		for range 3 {
			g.countAll(n) // asked for three times while others are written
		}
		if accounts, age := g.Backlog(); accounts < n || age != 1300*time.Millisecond {
			t.Errorf("%d accounts wait, for %v", accounts, age)
		}
		limited := perMonth(n+1, 100)
		for i := range 4 {
			g.take(1, limited)
			time.Sleep(1100 * time.Millisecond)
			if got := p.total(limited.Key, time.Now()); got != int64(i+1) {
				t.Errorf("after %d requests %d are recorded of who has a limit", i+1, got)
			}
		}
		time.Sleep(time.Minute)
		began, records := p.calls()
		for i := 1; i < len(began); i++ {
			if pause := began[i].Sub(began[i-1]); pause < (pauseFactor+1)*takes {
				t.Errorf("call %d came %v after the one before", i, pause)
			}
		}
		// Who had been written when the others asked again is written a second time.
		if records <= n || records >= 2*n || len(began) > 2*n/saveSize {
			t.Errorf("%d records were written in %d calls", records, len(began))
		}
		if p.falls > 5 { // two or three passes begin anew, and the one with a limit comes between
			t.Errorf("%d calls were out of order", p.falls)
		}
		if accounts, age := g.Backlog(); accounts != 0 || age != 0 {
			t.Errorf("%d accounts wait, for %v", accounts, age)
		}
		wantRecorded(t, p.book, n, 4)
	})
}

// Promise: few tenants are written within a second, however long a call takes, up to a second itself.
func TestFlushOfFewIsNotPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &slowPage{page: page{newBook(), "node"}, takes: 900 * time.Millisecond}
		g := startSlow(p, time.Minute)
		defer g.stop()
		for i := range int64(5) {
			g.countAll(saveSize)
			time.Sleep(1950 * time.Millisecond)
			wantRecorded(t, p.book, saveSize, i+1)
		}
	})
}

// Promise: a registry that is busier than the pauses allow for is written to without pauses, so that what a crash can lose
// is bounded: no account waits for longer than two times MaxFlush, two intervals and two calls.
func TestFlushIsBounded(t *testing.T) {
	for _, takes := range []time.Duration{50 * time.Millisecond, 1100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const n, most = 4 * saveSize, 5 * time.Second
			p := &slowPage{page: page{newBook(), "node"}, takes: takes}
			g := startSlow(p, most)
			defer g.stop()
			oldest := time.Duration(0)
			for range 30 {
				g.countAll(n)
				time.Sleep(700 * time.Millisecond)
				_, age := g.Backlog()
				oldest = max(oldest, age)
			}
			if oldest > 2*(most+takes+time.Second) || oldest < 4*takes {
				t.Errorf("with calls of %v an account waited for %v", takes, oldest)
			}
			time.Sleep(2*most + 2*time.Second)
			wantRecorded(t, p.book, n, 30)
		})
	}
}

// Promise: a call that fails in the middle of it loses nothing, and the next second goes on; a clean stop in the middle writes
// all that is left, without pauses.
func TestPacedFlushLosesNothing(t *testing.T) {
	for fail := range 5 {
		synctest.Test(t, func(t *testing.T) {
			const n = 3 * saveSize
			p := &slowPage{page: page{newBook(), "node"}, takes: 50 * time.Millisecond, fail: fail}
			g := startSlow(p, time.Minute)
			g.countAll(n)
			time.Sleep(1250 * time.Millisecond)
			g.countAll(n)
			time.Sleep(time.Duration(fail) * 500 * time.Millisecond)
			g.stop()
			known := p.recorded()
			for _, u := range g.Unsaved() {
				known[u.Key] = u.Count
			}
			for i := 1; i <= n; i++ {
				if got := known[tenantKey(i)]; got != 2 {
					t.Fatalf("tenant %d: %d of 2 are recorded or known as unsaved", i, got)
				}
			}
			stopped := time.Now()
			for g.Flush(t.Context()) != nil { // the call that fails may be among these
				continue
			}
			if took := time.Since(stopped); took > 15*p.takes || len(g.Unsaved()) != 0 {
				t.Errorf("the last flush took %v and left %d", took, len(g.Unsaved()))
			}
			wantRecorded(t, p.book, n, 2)
		})
	}
}

// Promise: what waits to be written, and for how long, is told also while a registry hangs or fails, whether a limit asks for
// it or not.
func TestBacklog(t *testing.T) {
	for _, limit := range []Limit{counted(1), perMonth(1, 100)} {
		for _, hang := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := newBook()
				g := startGateway(b, "node", nil)
				defer g.stop()
				want := func(accounts int, age time.Duration) {
					t.Helper()
					if got, waited := g.Backlog(); got != accounts || waited > age || waited < age-time.Second {
						t.Errorf("%d accounts wait, for %v, not %d for up to %v", got, waited, accounts, age)
					}
				}
				want(0, 0)
				g.take(1, limit)
				time.Sleep(2500 * time.Millisecond)
				want(0, 0)
				b.set(errors.New("the registry fails"), hang)
				g.take(1, limit)
				for i := range 40 {
					time.Sleep(3 * time.Second)
					want(1, time.Duration(i+1)*3*time.Second+time.Second)
				}
				b.set(nil, false)
				time.Sleep(40 * time.Second) // a call that hangs ends after 30 s
				want(0, 0)
			})
		}
	}
}
