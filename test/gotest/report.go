package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	// ImportPath is set instead of Package in the lines of a build.
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

// report gathers the events of one run of go test.
type report struct {
	passed, failed int
	packages       []string // one line each, in the order of their end
	failures       []string // the output of each test or package that failed
	skips          []string
	durations      []event

	output map[[2]string]*strings.Builder // by package and test
	broken map[string]bool                // packages with a failed test
	builds map[string]*strings.Builder    // what the compiler said, by import path
}

func newReport() *report {
	return &report{
		output: map[[2]string]*strings.Builder{},
		broken: map[string]bool{},
		builds: map[string]*strings.Builder{},
	}
}

func (r *report) add(e event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output":
		appendTo(r.output, key, e.Output)
	case "build-output":
		appendTo(r.builds, e.ImportPath, e.Output)
	case "pass":
		if e.Test == "" {
			r.packages = append(r.packages, fmt.Sprintf("ok    %-45s %6.1f s", short(e.Package), e.Elapsed))
		} else {
			r.passed++
			r.durations = append(r.durations, e)
			delete(r.output, key)
		}
	case "fail":
		r.fail(e, key)
	case "skip":
		// A package without tests is skipped too, with no name of a test.
		if e.Test != "" {
			r.failed++
			r.broken[e.Package] = true
			r.skips = append(r.skips, r.named(key)+"\n"+text(r.output[key]))
			delete(r.output, key)
		}
	}
}

func (r *report) fail(e event, key [2]string) {
	if e.Test != "" {
		r.failed++
		r.broken[e.Package] = true
		r.failures = append(r.failures, r.named(key)+"\n"+text(r.output[key]))
		delete(r.output, key)
		return
	}
	r.packages = append(r.packages, fmt.Sprintf("FAIL  %-45s %6.1f s", short(e.Package), e.Elapsed))
	// A package can fail without a failed test: it does not compile, it panicked, it ran out of time. Then the tests
	// that had begun have no end, and their output is what there is to see.
	if r.broken[e.Package] {
		return
	}
	r.failed++
	var all strings.Builder
	all.WriteString(text(r.builds[e.FailedBuild]))
	for k, b := range r.output {
		if k[0] == e.Package {
			all.WriteString(b.String())
		}
	}
	r.failures = append(r.failures, short(e.Package)+"\n"+all.String())
}

func (r *report) print(w io.Writer, slowest int) {
	for _, s := range r.packages {
		fmt.Fprintln(w, s)
	}
	slices.SortFunc(r.durations, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	for _, e := range r.durations[:min(slowest, len(r.durations))] {
		fmt.Fprintf(w, "      %6.1f s  %s\n", e.Elapsed, e.Test)
	}
	for _, s := range r.failures {
		fmt.Fprintf(w, "\nFAILED: %s\n", s)
	}
	for _, s := range r.skips {
		fmt.Fprintf(w, "\nLEFT OUT, and nothing may be: %s\n", s)
	}
}

func (r *report) named(key [2]string) string { return short(key[0]) + " " + key[1] }

// short drops the module's path: our packages are called by their directory.
func short(importPath string) string {
	const module = "github.com/tenantgate/tenantgate"
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func text(b *strings.Builder) string {
	if b == nil {
		return ""
	}
	return b.String()
}

func appendTo[K comparable](m map[K]*strings.Builder, key K, s string) {
	b := m[key]
	if b == nil {
		b = &strings.Builder{}
		m[key] = b
	}
	b.WriteString(s)
}
