package main

import (
	"strings"
	"testing"
)

// Promise: a test that left itself out counts as a failure and is named, and so does a package that does not compile.
func TestReport(t *testing.T) {
	tests := []struct {
		name           string
		events         []event
		passed, failed int
		says           string
	}{
		{
			name: "passed",
			events: []event{
				{Action: "run", Package: "p", Test: "TestA"},
				{Action: "pass", Package: "p", Test: "TestA", Elapsed: 1},
				{Action: "pass", Package: "p", Elapsed: 1},
			},
			passed: 1, says: "ok    p",
		},
		{
			name: "failed, with its output",
			events: []event{
				{Action: "output", Package: "p", Test: "TestA", Output: "got 1, want 2\n"},
				{Action: "fail", Package: "p", Test: "TestA"},
				{Action: "fail", Package: "p"},
			},
			failed: 1, says: "FAILED: p TestA\ngot 1, want 2",
		},
		{
			name: "left out",
			events: []event{
				{Action: "output", Package: "p", Test: "TestA", Output: "no server\n"},
				{Action: "skip", Package: "p", Test: "TestA"},
				{Action: "pass", Package: "p"},
			},
			failed: 1, says: "LEFT OUT, and nothing may be: p TestA\nno server",
		},
		{
			name:   "no tests in a package is no omission",
			events: []event{{Action: "skip", Package: "p"}},
		},
		{
			name: "does not compile",
			events: []event{
				{Action: "build-output", ImportPath: "p [p.test]", Output: "undefined: x\n"},
				{Action: "fail", Package: "p", FailedBuild: "p [p.test]"},
			},
			failed: 1, says: "undefined: x",
		},
		{
			name: "panicked in the middle of a test",
			events: []event{
				{Action: "output", Package: "p", Test: "TestA", Output: "panic: boom\n"},
				{Action: "fail", Package: "p"},
			},
			failed: 1, says: "panic: boom",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReport()
			for _, e := range tt.events {
				r.add(e)
			}
			var out strings.Builder
			r.print(&out, 0)
			if r.passed != tt.passed || r.failed != tt.failed {
				t.Errorf("%d passed, %d failed; want %d, %d", r.passed, r.failed, tt.passed, tt.failed)
			}
			if !strings.Contains(out.String(), tt.says) {
				t.Errorf("prints %q, want it to contain %q", out.String(), tt.says)
			}
		})
	}
}
