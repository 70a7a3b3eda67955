package main

import (
	"sync"
	"time"
)

// never is later than any time of a run.
var never = time.Unix(1<<40, 0)

// point is one value that a thing had, has or is about to have.
type point[T any] struct {
	value T
	// began is when the change to it was asked for: no answer before can show it.
	began time.Time
	// answered is when the change was confirmed; [never] as long as it is not.
	answered time.Time
	// gateway is the one that made the change.
	gateway int
}

// timeline is what was true when, as far as somebody can know who makes the changes. Changes are made by one goroutine,
// one after the other; what is possible can be asked by any.
type timeline[T any] struct {
	mu     sync.Mutex
	points []point[T]
}

// keptPoints bounds a timeline: more changes than happen while one request is under way.
const keptPoints = 64

// since makes a timeline of a value that everybody has known since a time.
func since[T any](at time.Time, value T) *timeline[T] {
	return &timeline[T]{points: []point[T]{{value: value, began: at, answered: at, gateway: everywhere}}}
}

// everywhere stands for a change that all gateways know of.
const everywhere = -1

// begin says that a change to a value is being made through a gateway.
func (t *timeline[T]) begin(at time.Time, gateway int, value T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.points) >= keptPoints {
		t.points = append([]point[T](nil), t.points[len(t.points)/2:]...)
	}
	t.points = append(t.points, point[T]{value: value, began: at, answered: never, gateway: gateway})
}

// done says that the last change that began was confirmed.
func (t *timeline[T]) done(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.points[len(t.points)-1].answered = at
}

// settled reports whether the last change was confirmed.
func (t *timeline[T]) settled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.points[len(t.points)-1].answered.Equal(never)
}

// last returns the newest value, confirmed or not.
func (t *timeline[T]) last() T {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.points[len(t.points)-1].value
}

// possible returns the values that a gateway may have shown to a request that was under way in that time. certain says
// from when on a change that was confirmed at some time through some gateway holds on this one.
func (t *timeline[T]) possible(from, to time.Time, certain func(answered time.Time, by int) time.Time) []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := 0
	for i, p := range t.points {
		if !certain(p.answered, p.gateway).After(from) {
			first = i
		}
	}
	var values []T
	for i, p := range t.points[first:] {
		if i == 0 || !p.began.After(to) {
			values = append(values, p.value)
		}
	}
	return values
}

// span is a stretch of time; its end is [never] as long as it lasts.
type span struct{ from, to time.Time }

// spans are stretches in which something was not as usual, the newest last.
type spans struct {
	mu   sync.Mutex
	list []span
}

// open begins a stretch.
func (s *spans) open(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, span{at, never})
}

// end ends the one that lasts.
func (s *spans) end(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if s.list[i].to.Equal(never) {
			s.list[i].to = at
		}
	}
}

// touch reports whether a stretch, made longer by some time, has a moment in common with another one.
func (s *spans) touch(from, to time.Time, longer time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.list {
		if o.from.Before(to) && o.to.Add(longer).After(from) {
			return true
		}
	}
	return false
}

// delay returns when something is done that takes a while from a moment on, and as long again after each stretch that comes
// in between.
func (s *spans) delay(from time.Time, takes time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := from.Add(takes)
	for _, o := range s.list {
		if o.from.Before(end) && o.to.After(from) {
			if o.to.Equal(never) {
				return never
			}
			if at := o.to.Add(takes); at.After(end) {
				end = at
			}
		}
	}
	return end
}

// add notes a stretch that is over; with one that ended less than a second before it is one.
func (s *spans) add(from, to time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.list); n > 0 && !s.list[n-1].to.Equal(never) && s.list[n-1].to.Add(time.Second).After(from) {
		s.list[n-1].to = to
		return
	}
	s.list = append(s.list, span{from, to})
}

// sum returns how long they were together; those that last do not count.
func (s *spans) sum() (total time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.list {
		if !o.to.Equal(never) {
			total += o.to.Sub(o.from)
		}
	}
	return total
}

// count returns how many there were.
func (s *spans) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}
