package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
)

// histogram counts durations in classes that are 5 % wide each, from 10 µs on.
type histogram struct {
	classes [400]int64
	n       int64
	highest time.Duration
}

const (
	firstClass = 10 * time.Microsecond
	classWidth = 1.05
)

func (h *histogram) add(d time.Duration) {
	class := 0
	if d > firstClass {
		class = int(math.Log(float64(d)/float64(firstClass))/math.Log(classWidth)) + 1
	}
	h.classes[min(class, len(h.classes)-1)]++
	h.n++
	h.highest = max(h.highest, d)
}

// quantile returns the upper end of the class that holds a part of all, at most 5 % too much; 0 for an empty histogram.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.n)))
	seen := int64(0)
	for class, n := range h.classes {
		if seen += n; n > 0 && seen >= rank {
			return min(time.Duration(float64(firstClass)*math.Pow(classWidth, float64(class))), h.highest)
		}
	}
	return h.highest
}

// failure is something that should not have happened.
type failure struct {
	at   time.Duration // since the run began
	kind string
	text string
}

// kept bounds how many failures are told in full, and keptOfKind how many of one kind.
const kept, keptOfKind = 100, 15

// tally is what a run has seen.
type tally struct {
	began time.Time
	// out is told of the failures that are kept, when they happen.
	out io.Writer

	mu       sync.Mutex
	kinds    map[string]map[string]int64 // by kind of request and status
	times    map[string]*histogram
	events   map[string]int64
	failures []failure
	failed   int64
	late     map[time.Duration]int64 // answers that showed what was before a change, by how long after it
	wrong    int64                   // answers for another tenant
	excused  int64                   // what would have been a failure had the machine not stood still
	byKind   map[string]int64
	stalled  func(from, to time.Time) bool
}

func newTally(out io.Writer) *tally {
	return &tally{
		began: time.Now(), out: out, kinds: map[string]map[string]int64{}, times: map[string]*histogram{}, events: map[string]int64{},
		late: map[time.Duration]int64{}, byKind: map[string]int64{},
	}
}

// request counts one request with its answer: a status, or what happened instead of one.
func (t *tally) request(kind string, status int, instead string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds[kind] == nil {
		t.kinds[kind], t.times[kind] = map[string]int64{}, &histogram{}
	}
	if instead == "" {
		instead = strconv.Itoa(status)
		t.times[kind].add(took)
	}
	t.kinds[kind][instead]++
}

// changedLate counts an answer that showed what was before a change, so long after the change was confirmed.
func (t *tally) changedLate(late time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late[late]++
}

// event counts something that was made to happen.
func (t *tally) event(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events[name]++
}

// fail notes a failure that was seen between two times. Whatever comes while the machine stands still is excused, but for
// an answer of another tenant.
func (t *tally) fail(kind string, w when, err error) {
	wrong := (*wrongTenant)(nil)
	isWrong := errors.As(err, &wrong)
	excused := !isWrong && t.stalled != nil && t.stalled(w.from, w.to)
	t.mu.Lock()
	defer t.mu.Unlock()
	if excused {
		t.excused++
		return
	}
	t.failed++
	if isWrong {
		t.wrong++
	}
	t.byKind[kind]++
	if t.byKind[kind] > keptOfKind {
		return
	}
	if len(t.failures) < kept {
		f := failure{time.Since(t.began), kind, err.Error()}
		t.failures = append(t.failures, f)
		fmt.Fprintf(t.out, "FAILURE after %s, %s: %s\n", f.at.Round(10*time.Millisecond), f.kind, f.text)
	}
}

// total returns how many requests there were, and how many failures.
func (t *tally) total() (requests, failed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, statuses := range t.kinds {
		for _, n := range statuses {
			requests += n
		}
	}
	return requests, t.failed
}

// statuses lists the answers of a kind with their numbers.
func (t *tally) statuses(kind string) string {
	text := ""
	for _, status := range slices.Sorted(maps.Keys(t.kinds[kind])) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s × %d", status, t.kinds[kind][status])
	}
	return text
}
