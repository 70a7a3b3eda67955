package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

const (
	// healWithin bounds how long the gateway may need to find out that a fault is over. It is much, for machines that are busy.
	healWithin = 30 * time.Second
	// moreGoroutines and moreFiles are what may be left after a fault that was not there before: idle connections of
	// pools. A cold load under a fault makes some hundred calls, so that one leaked by each would be more.
	moreGoroutines, moreFiles = 64, 40
	// mostLines bounds what the log may say about one fault, for any number of requests.
	mostLines = 12
)

// trial is a fault on a stage, from its beginning to its end.
type trial struct {
	begin, end func(t *testing.T)
	// lasts is how long the fault lasts after it is felt.
	lasts time.Duration
	// felt is a condition that holds once it is; nil if that is at once.
	felt func() error
	// strangers are the statuses that tenants get who are not cached, as long as it lasts.
	strangers []int
	// says is what the log says, each sentence at least once.
	says []string
}

// undergo puts a fault on the stage under load, ends it, waits until all is well, and holds what was seen against what
// README promises of each fault.
func (s *stage) undergo(t *testing.T, f trial) {
	t.Helper()
	goroutines, files := s.size(t)
	before := len(s.g.Log(t))
	warm, cold := s.warm(t), s.cold(t)
	f.begin(t)
	if f.felt != nil {
		harness.Eventually(t, healWithin, f.felt)
	}
	harness.Throughout(t, f.lasts, s.g.Ended)
	cold.end()
	under := cold.tally
	f.end(t)
	healed := time.Now()
	harness.Eventually(t, healWithin, s.g.Expect(t.Context(), s.stranger(), 200, "globex"))
	harness.Eventually(t, healWithin, s.rename(t))
	took := time.Since(healed)
	// What was refused meanwhile is not remembered.
	after := s.cold(t)
	harness.Eventually(t, healWithin, func() error {
		if all, ok, _ := after.of(); ok < 20 {
			return fmt.Errorf("%d of %d tenants were served that were not cached", ok, all)
		}
		return nil
	})
	after.end()
	warm.end()
	lines := s.lines(t, before)

	all, ok, failed := warm.of()
	others, served, refused := under.of()
	t.Logf("cached tenants: %d requests, %d × 2xx, %d × 5xx; others: %d requests, %d × 2xx, %d × 5xx; healed after %s; %d lines in the log",
		all, ok, failed, others, served, refused, took.Round(time.Millisecond), len(lines))
	if all < 50 || failed > 0 || ok != all || len(warm.lost) > 0 {
		t.Errorf("cached tenants: %v, lost %q", warm.statuses, warm.lost)
	}
	for host, statuses := range under.statuses {
		for status := range statuses {
			if !slices.Contains(f.strangers, status) {
				t.Errorf("%s, which was not cached: status %d, want one of %d", host, status, f.strangers)
			}
		}
	}
	if _, ok, failed := after.of(); failed > 0 {
		t.Errorf("after the fault, of tenants that were not cached: %d × 2xx, %d × 5xx", ok, failed)
	}
	for _, sentence := range f.says {
		if !slices.ContainsFunc(lines, func(l logLine) bool { return l.Message == sentence }) {
			t.Errorf("the log does not say %q", sentence)
		}
	}
	if len(lines) > mostLines || t.Failed() || testing.Verbose() {
		for _, l := range lines {
			t.Logf("%s %s", l.Level, l)
		}
	}
	if len(lines) > mostLines {
		t.Errorf("%d lines in the log about one fault", len(lines))
	}
	harness.Eventually(t, healWithin, func() error {
		g, f := s.size(t)
		if g > goroutines+moreGoroutines || f > files+moreFiles {
			return fmt.Errorf("goroutines: %d, before %d; files: %d, before %d", g, goroutines, f, files)
		}
		return nil
	})
}

// size returns how many goroutines and file descriptors the gateway has.
func (s *stage) size(t *testing.T) (goroutines, files int) {
	t.Helper()
	return int(redisMetric(t, s.g, "go_goroutines")), int(redisMetric(t, s.g, "process_open_fds"))
}

// logLine is what this project's own code says in the log, from level INFO on.
type logLine struct {
	Level, Logger, Message, Error, Line string
}

// String implements fmt.Stringer.
func (l logLine) String() string {
	if l.Error == "" {
		return l.Message
	}
	return l.Message + ": " + l.Error
}

// lines returns what the gateway has logged after so many bytes, without the lines of Caddy itself.
func (s *stage) lines(t *testing.T, after int) []logLine {
	t.Helper()
	var list []logLine
	for text := range strings.Lines(s.g.Log(t)[after:]) {
		var l struct {
			Level  string `json:"level"`
			Logger string `json:"logger"`
			Msg    string `json:"msg"`
			Error  string `json:"error"`
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Errorf("the log has a line that is no JSON: %s", text)
			continue
		}
		list = append(list, logLine{Level: l.Level, Logger: l.Logger, Message: l.Msg, Error: l.Error, Line: strings.TrimSpace(text)})
	}
	return list
}
