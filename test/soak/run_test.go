package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/sqld"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// Promise: a short run with everything in it ends with a report, and not one answer was of another tenant. What else it
// finds in that time is in the log: on a machine that is busy, too much of that would be about the machine.
func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o, err := parseOptions([]string{
		"-duration", "7s", "-rate", "60", "-grace", "30s", "-gateway", harness.Binary(t), "-sqld", sqld.Binary(t), "-dir", dir,
		"-o", filepath.Join(dir, "REPORT.md"),
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	result, err := run(t.Context(), o, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if result.tally.wrong != 0 {
		t.Errorf("%d answers were of another tenant", result.tally.wrong)
	}
	if n, _ := result.tally.total(); n == 0 || len(result.tally.events) == 0 {
		t.Errorf("%d requests, %d kinds of events", n, len(result.tally.events))
	}
	report := harness.ReadFile(t, o.report)
	for _, want := range []string{"# Soak: ", "0 for the wrong tenant", "| resident memory, MiB | 2 |", "| gateway | goroutines before |", "| all but the slow kinds |", "sys_change, rows", "(report.svg)"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report has no %q:\n%s", want, report)
		}
	}
	wellFormed(t, harness.ReadFile(t, o.graph))
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the picture: %v\n%s", err, text)
		}
	}
}

// Promise: a failure and what grows make a run fail; what grows counts only in a run that is long enough to say.
func TestJudge(t *testing.T) {
	grows := growth{measure: measures[0], gateway: 1, slope: 99, known: true}
	for name, tt := range map[string]struct {
		o    outcome
		want []string
	}{
		"good":      {outcome{took: time.Hour, tally: &tally{}, growth: []growth{{known: true, flat: true}}}, nil},
		"a failure": {outcome{took: time.Hour, tally: &tally{failed: 3}}, []string{"3 failures"}},
		"growth":    {outcome{took: time.Hour, tally: &tally{}, growth: []growth{grows}}, []string{"resident memory of gateway 2 grew by 99.0 MiB an hour, at most 24 are flat"}},
		"held at rest": {
			outcome{took: time.Hour, tally: &tally{}, rest: atRest{[]holdings{{50, 40}, {50, 40}}, []holdings{{70, 60}, {50, 61}}}},
			[]string{"gateway 2 at rest holds 50 goroutines and 61 file descriptors, before the load 50 and 40"},
		},
		"growth in a short": {outcome{took: time.Minute, tally: &tally{}, growth: []growth{grows}}, nil},
	} {
		if got := tt.o.judge(); strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// Promise: what cannot be is refused with its reason.
func TestOptions(t *testing.T) {
	for args, want := range map[string]string{
		"-sqld x":                "",
		"-sqld x -duration 1s":   "at least 5s",
		"-sqld x -rate 1":        "10 to 2000",
		"-sqld x -rate 99999":    "10 to 2000",
		"-sqld x -grace 1s":      "two polls",
		"-sqld x -gateways 9":    "-gateways",
		"-sqld= -duration 1m":    "libSQL server",
		"-sqld x something":      "unexpected argument",
		"-sqld x -duration none": "invalid value",
	} {
		o, err := parseOptions(strings.Fields(args), io.Discard)
		switch {
		case want == "" && (err != nil || o.duration != time.Hour || !filepath.IsAbs(o.sqld)):
			t.Errorf("%s: %+v, %v", args, o, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
