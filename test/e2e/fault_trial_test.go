package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

const (
	// faultLasts is how long a fault lasts at least: longer than entries are fresh, and several polls.
	faultLasts = 1200 * time.Millisecond
	// healWithin bounds how long the gateway may need to find out that a fault is over. It is much, for machines that are busy.
	healWithin = time.Minute
	// moreGoroutines and moreFiles are what may be left after a fault that was not there before: idle connections of
	// pools. A cold load under a fault makes some hundred calls, so that one leaked by each would be more.
	moreGoroutines, moreFiles = 64, 48
	// mostLines bounds what the log may say about one fault, for any number of requests.
	mostLines = 30
)

// trial is a fault on a stage, from its beginning to its end.
type trial struct {
	fault

	// begin is nil where the gateway was started under the fault.
	begin, end func(t *testing.T)
	// felt and healed are conditions that hold once the fault has set in, and once it is over; nil where that is at once.
	felt, healed func() error
}

// undergo puts a fault on the stage under load, ends it, waits until all is well, and holds what was seen against what
// README promises of each fault.
func (s *stage) undergo(t *testing.T, f trial) {
	t.Helper()
	goroutines, files := math.MaxInt32, math.MaxInt32
	before := 0
	if f.begin != nil {
		s.settle(t)
		goroutines, files = s.size(t)
		before = len(s.g.Log(t))
	}
	began := time.Now()
	warm := s.warm(t)
	if f.begin != nil {
		f.begin(t)
	}
	if f.felt != nil {
		harness.Eventually(t, healWithin, f.felt)
	}
	cold := s.cold(t)
	harness.Throughout(t, faultLasts, s.g.Ended)
	s.hears(t, before, f.begins)
	warm.reaches(t, 100)
	cold.reaches(t, 10)
	cold.end()
	under := cold.tally
	lasted := time.Since(began)
	f.end(t)
	healed := time.Now()
	harness.Eventually(t, healWithin, s.g.Expect(t.Context(), s.stranger(), 200, "globex"))
	harness.Eventually(t, healWithin, s.rename(t))
	if f.healed != nil {
		harness.Eventually(t, healWithin, f.healed)
	}
	s.hears(t, before, f.ends)
	s.settle(t)
	took := time.Since(healed)
	// What was refused meanwhile is not remembered.
	after := s.cold(t)
	harness.Eventually(t, healWithin, func() error {
		if all, ok, failed := after.of(); ok < 20 {
			return fmt.Errorf("of %d tenants that were not cached %d were served, %d refused", all, ok, failed)
		}
		return nil
	})
	after.end()
	warm.end()
	lines, _ := s.lines(t, before)

	all, ok, failed := warm.of()
	others, served, refused := under.of()
	t.Logf("cached tenants: %d requests, %d × 2xx, %d × 5xx, slowest %s; others: %d requests, %d × 2xx, %d × 5xx, slowest %s; lasted %s, healed after %s; %d lines in the log",
		all, ok, failed, warm.longest(), others, served, refused, under.longest(), lasted.Round(time.Millisecond), took.Round(time.Millisecond), len(lines))
	if ok != all {
		t.Errorf("cached tenants: %v, lost %q", warm.statuses, warm.lost)
	}
	for host, statuses := range under.statuses {
		for status := range statuses {
			if !slices.Contains(f.others, status) {
				t.Errorf("%s, which was not cached: status %d, want one of %d", host, status, f.others)
			}
		}
	}
	s.says(t, f.fault, lines)
	s.returnsTo(t, goroutines, files)
}

// hears waits until the log, after so many bytes, has said all sentences.
func (s *stage) hears(t *testing.T, after int, sentences []string) {
	t.Helper()
	harness.Eventually(t, healWithin, func() error {
		lines, _ := s.lines(t, after)
		for _, sentence := range sentences {
			if !said(lines, sentence) {
				return fmt.Errorf("the log does not say %q", sentence)
			}
		}
		return nil
	})
}

func said(lines []logLine, sentence string) bool {
	return slices.ContainsFunc(lines, func(l logLine) bool { return l.Message == sentence })
}

// says holds what the log says of a fault against what it should.
func (s *stage) says(t *testing.T, f fault, lines []logLine) {
	t.Helper()
	known := slices.Concat(f.begins, f.ends, f.may)
	for _, sentence := range slices.Concat(f.begins, f.ends) {
		if !said(lines, sentence) {
			t.Errorf("the log does not say %q", sentence)
		}
	}
	for _, l := range lines[:min(len(lines), mostLines)] {
		if !slices.Contains(known, l.Message) {
			t.Errorf("the log says what README does not: %s", l)
		}
	}
	if len(lines) > mostLines {
		t.Errorf("%d lines in the log about one fault", len(lines))
	}
	if t.Failed() {
		for _, l := range lines[:min(len(lines), 2*mostLines)] {
			t.Logf("%s %s", l.Level, l)
		}
	}
}

// returnsTo waits until the gateway has no more goroutines and files than it had.
func (s *stage) returnsTo(t *testing.T, goroutines, files int) {
	t.Helper()
	leaks := true
	defer func() {
		if !leaks {
			return
		}
		if answer, err := harness.Send(context.Background(), s.g.Client, s.g.Admin, harness.Ask{Path: "/debug/pprof/goroutine?debug=1"}); err == nil {
			t.Logf("goroutines: %.6000s", answer.Body)
		}
	}()
	harness.Eventually(t, healWithin, func() error {
		g, f := s.size(t)
		if g > goroutines+moreGoroutines || f > files+moreFiles {
			return fmt.Errorf("goroutines: %d, before %d; files: %d, before %d", g, goroutines, f, files)
		}
		return nil
	})
	leaks = false
}

// size returns how many goroutines and file descriptors the gateway has.
func (s *stage) size(t *testing.T) (goroutines, files int) {
	t.Helper()
	return int(metricOf(t, s.g, "go_goroutines")), int(metricOf(t, s.g, "process_open_fds"))
}

// logLine is a line of the log that matters to an operator: of this project's own code, or a warning or an error.
type logLine struct{ Level, Logger, Message, Error string }

// String implements fmt.Stringer.
func (l logLine) String() string {
	if l.Error == "" {
		return l.Message
	}
	return l.Message + ": " + l.Error
}

// lines returns the lines that the gateway has logged after so many bytes, and how many Caddy has logged about requests
// that failed behind it, which are its own.
func (s *stage) lines(t *testing.T, after int) (list []logLine, requests int) {
	t.Helper()
	for text := range strings.Lines(s.g.Log(t)[after:]) {
		var l struct{ Level, Logger, Msg, Error string }
		if !strings.HasSuffix(text, "\n") {
			break // it is being written
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Errorf("the log has a line that is no JSON: %s", text)
			continue
		}
		switch ours := l.Logger == "tenants" || strings.HasPrefix(l.Logger, "http.handlers.tenant"); {
		case strings.HasPrefix(l.Logger, "http.log.error"), l.Logger == "http.handlers.reverse_proxy":
			requests++
		case ours, l.Level != "info" && l.Logger != "" && l.Logger != "http":
			list = append(list, logLine{l.Level, l.Logger, l.Msg, l.Error})
		}
	}
	return list, requests
}
