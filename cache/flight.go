package cache

import (
	"container/list"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Loads wait in classes: one for each kind of reference, and one for background refreshes.
const (
	classRefresh = int(registry.KindSession) + 1
	classes      = classRefresh + 1
)

// load is one question to the registry, for all who want to know the same.
type load struct {
	ref   registry.Reference // its strings are copies
	class int
	stale *entry // with classRefresh: what is served meanwhile

	// done is closed when resolved and err are final.
	done     chan struct{}
	resolved *registry.Resolved
	err      error

	// What follows is guarded by flight.mu.

	waiters  int
	place    *list.Element // in its class's queue; nil once begun
	finished bool
	timer    *time.Timer
	// since holds the changes that were applied after the question was asked.
	since [][]registry.Change
}

// flight holds the loads that wait and run, so that whatever number of requests wants the same makes one question, and
// no more than limit questions are asked at once.
//
// When more references are asked for than the registry can answer, none of them can be told a made-up name from a
// tenant. So that a flood of the ones does not starve the others, a place that becomes free goes to the classes in turn
// (a flood of host names leaves slugs, API keys and refreshes their share), and within a class to the load that came
// last: with first come, first served, a standing queue longer than the patience of those who wait would serve
// everybody just before they leave. A load that nobody waits for any more is not begun at all, and none waits longer
// than the timeout.
type flight struct {
	begin         func(*load)         // runs the load, in a goroutine of its own
	refreshFailed func(*entry, error) // is told of every refresh that brought nothing; called with mu held

	mu sync.Mutex
	// limit is the greatest number of running loads; timeout bounds the wait for a place, and then the running.
	limit   int
	timeout time.Duration
	// loads are those that wait or run and are not finished, by reference.
	loads map[registry.Reference]*load
	// running are those that were begun and have not returned. One that is finished stays here until it gives its place
	// back: a registry that does not keep to the timeout does not get more questions for it.
	running map[*load]struct{}
	queues  [classes]list.List
	turn    int // the class whose turn it is
	// refreshes counts the unfinished loads of classRefresh.
	refreshes int
}

func newFlight(begin func(*load), refreshFailed func(*entry, error)) *flight {
	return &flight{
		begin:         begin,
		refreshFailed: refreshFailed,
		loads:         make(map[registry.Reference]*load),
		running:       make(map[*load]struct{}),
	}
}

// bound changes limit and timeout, for loads that begin from now on.
func (f *flight) bound(limit int, timeout time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit, f.timeout = limit, timeout
	f.next()
}

func classOf(ref registry.Reference) int {
	if int(ref.Kind) >= classRefresh {
		return int(registry.KindNone)
	}
	return int(ref.Kind)
}

// add puts a new load on its way. f.mu is held.
func (f *flight) add(l *load) {
	l.ref = cloneReference(l.ref)
	l.done = make(chan struct{})
	f.loads[l.ref] = l
	if l.class == classRefresh {
		f.refreshes++
	}
	// Ends the wait in the queue, and later a question that goes on after its own timeout.
	l.timer = time.AfterFunc(f.timeout, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fail(l, unavailable(errTimeout))
	})
	l.place = f.queues[l.class].PushFront(l)
	f.next()
}

// next begins waiting loads while there are places. f.mu is held.
func (f *flight) next() {
	for len(f.running) < f.limit {
		l := f.pick()
		if l == nil {
			return
		}
		l.timer.Reset(f.timeout)
		f.running[l] = struct{}{}
		go f.begin(l)
	}
}

// pick takes the load whose turn it is out of its queue; nil if none waits. f.mu is held.
func (f *flight) pick() *load {
	for range classes {
		q := &f.queues[f.turn]
		f.turn = (f.turn + 1) % classes
		if front := q.Front(); front != nil {
			l := q.Remove(front).(*load)
			l.place = nil
			return l
		}
	}
	return nil
}

// finish makes the answer known to all who wait. Only the first call counts. f.mu is held.
func (f *flight) finish(l *load, resolved *registry.Resolved, err error) {
	if l.finished {
		return
	}
	l.finished, l.resolved, l.err = true, resolved, err
	l.timer.Stop()
	if l.place != nil {
		f.queues[l.class].Remove(l.place)
		l.place = nil
	}
	if l.class == classRefresh {
		f.refreshes--
	}
	delete(f.loads, l.ref)
	close(l.done)
}

// fail is finish for a load that got no answer. f.mu is held.
func (f *flight) fail(l *load, err error) {
	if l.stale != nil && !l.finished {
		f.refreshFailed(l.stale, err)
	}
	f.finish(l, nil, err)
}

// giveBack ends the running of l, whose place goes to the next.
func (f *flight) giveBack(l *load) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, l)
	f.next()
}

// leave says that one of those who waited for l waits no more.
func (f *flight) leave(l *load) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.waiters--
	if l.waiters == 0 && l.place != nil && l.class != classRefresh {
		f.finish(l, nil, unavailable(errAbandoned))
	}
}

// mark tells every running load that changes are being applied: what it has read may be what was there before.
func (f *flight) mark(changes []registry.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.running {
		if !l.finished {
			l.since = append(l.since, changes)
		}
	}
}
