package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Load is a stream of requests from several workers at once, each with one request under way at a time.
type Load struct {
	// Workers defaults to 8.
	Workers int
	// Count is how many requests there are at most; 0 means as many as come until the end.
	Count int
	// AtMost bounds the time; it defaults to 30 s.
	AtMost time.Duration
	// Every spaces the requests of each worker, so that a machine with few cores has some left for what is tested.
	Every time.Duration
	// Ask makes the request of a number, from 0.
	Ask func(n int) Ask
	// Check looks at an answer; its errors are reported.
	Check func(n int, answer Answer) error
	// Reloads says that the configuration is loaded anew meanwhile. A GET whose connection is cut before there is an answer is
	// then sent once more, as browsers do (RFC 9110 §9.2.2): when Caddy hands over from one listening socket to the next, a
	// connection that is opened in that moment may be reset, with these modules as without them.
	Reloads bool
}

// Report is what a load saw.
type Report struct {
	Done     int
	Statuses map[int]int
	// Slowest is the longest that one request took.
	Slowest time.Duration
	// Again counts requests that were sent once more; see Load.Reloads.
	Again int
	// Failures counts requests without an answer and answers that Check did not like; Errors tells of the first ones.
	Failures int
	Errors   []string
}

// String lists the statuses with their numbers.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests", r.Done)
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&b, ", %d × %d", r.Statuses[status], status)
	}
	if r.Again > 0 {
		fmt.Fprintf(&b, ", %d sent again", r.Again)
	}
	fmt.Fprintf(&b, ", %d failures, slowest %s", r.Failures, r.Slowest.Round(time.Millisecond))
	for _, e := range r.Errors {
		b.WriteString("\n\t" + e)
	}
	return b.String()
}

// RunningLoad is a load under way.
type RunningLoad struct {
	cancel  context.CancelFunc
	workers sync.WaitGroup
	mu      sync.Mutex
	next    int
	report  Report
}

// StartLoad begins a load on the gateway. It ends with the test at the latest.
func (g *Gateway) StartLoad(t testing.TB, l Load) *RunningLoad {
	t.Helper()
	if l.Workers == 0 {
		l.Workers = 8
	}
	if l.AtMost == 0 {
		l.AtMost = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), l.AtMost)
	r := &RunningLoad{cancel: cancel, report: Report{Statuses: map[int]int{}}}
	for range l.Workers {
		r.workers.Go(func() { r.work(ctx, g, l) })
	}
	t.Cleanup(func() { r.Stop() })
	return r
}

// Stop lets the requests that are under way end, and returns what was seen.
func (r *RunningLoad) Stop() Report {
	r.cancel()
	return r.Wait()
}

// Wait returns what was seen once all requests are done.
func (r *RunningLoad) Wait() Report {
	r.workers.Wait()
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report
}

// Done returns how many requests have been answered so far.
func (r *RunningLoad) Done() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.Done
}

func (r *RunningLoad) work(ctx context.Context, g *Gateway, l Load) {
	var tick *time.Ticker
	if l.Every > 0 {
		tick = time.NewTicker(l.Every)
		defer tick.Stop()
	}
	for ctx.Err() == nil {
		r.mu.Lock()
		n := r.next
		r.next++
		r.mu.Unlock()
		if l.Count > 0 && n >= l.Count {
			return
		}
		began := time.Now()
		// A request that has begun is finished: only then can an answer that never came be told from our own impatience.
		ask := l.Ask(n)
		answer, err := Send(context.WithoutCancel(ctx), g.Client, g.Address, ask)
		if l.Reloads && (ask.Method == "" || ask.Method == http.MethodGet) && answer.Status == 0 && cut(err) {
			r.sentAgain()
			answer, err = Send(context.WithoutCancel(ctx), g.Client, g.Address, ask)
		}
		took := time.Since(began)
		if err == nil && l.Check != nil {
			err = l.Check(n, answer)
		}
		r.record(answer, err, took)
		if tick != nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}

// cut reports whether an error is that of a connection which was closed before there was an answer.
func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

func (r *RunningLoad) sentAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Again++
}

func (r *RunningLoad) record(answer Answer, err error, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Done++
	r.report.Slowest = max(r.report.Slowest, took)
	if answer.Status != 0 {
		r.report.Statuses[answer.Status]++
	}
	if err != nil {
		r.report.Failures++
		if len(r.report.Errors) < 10 {
			r.report.Errors = append(r.report.Errors, err.Error())
		}
	}
}
