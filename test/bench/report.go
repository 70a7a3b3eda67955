package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// report prints results as Markdown and keeps count of the budgets that were missed.
type report struct {
	out io.Writer
	// sections is what the scenarios printed, budgets are the lines about budgets.
	sections strings.Builder
	budgets  []string
	missed   int
	again    int // slices that were taken again since conditions was last printed
}

// section begins a scenario.
func (r *report) section(title, text string) {
	r.printf("\n## %s\n\n%s\n\n", title, text)
}

// table prints a table.
func (r *report) table(t table) {
	var text strings.Builder
	_ = t.write(&text) // memory takes everything
	r.printf("%s\n", text.String())
}

// printf prints text.
func (r *report) printf(format string, args ...any) {
	fmt.Fprintf(&r.sections, format, args...)
	if _, err := fmt.Fprintf(r.out, format, args...); err != nil {
		fmt.Fprintln(os.Stderr, "writing the report:", err)
	}
}

// comparison is a ratio of two candidates' requests per second that has a budget.
type comparison struct {
	// Over and Under are the numbers of the candidates.
	Over, Under int
	// AtLeast is the budget of the median.
	AtLeast float64
}

// compare prints the ratio, and whether it is within its budget.
func (r *report) compare(candidates []candidate, samples [][]sample, c comparison) {
	over, under := column(samples[c.Over], sample.rate), column(samples[c.Under], sample.rate)
	ratio := summarize(pairedRatios(over, under))
	r.budget(fmt.Sprintf("%s ÷ %s: median %.3f (%.2f to %.2f), budget at least %.2f",
		candidates[c.Over].Name, candidates[c.Under].Name, ratio.Median, ratio.Min, ratio.Max, c.AtLeast),
		ratio.Median >= c.AtLeast)
}

// budget prints a figure with its budget as a line of a list.
func (r *report) budget(text string, met bool) {
	verdict := "met"
	if !met {
		verdict = "**missed**"
		r.missed++
	}
	line := fmt.Sprintf("- %s: %s\n", text, verdict)
	r.budgets = append(r.budgets, line)
	r.printf("%s", line)
}

// conditions says what else went on, and warns of candidates that did not keep their cores busy: then something else
// was measured.
func (r *report) conditions(candidates []candidate, samples [][]sample, cores int) {
	var names []string
	var others []float64
	for i, c := range candidates {
		if median(column(samples[i], sample.busy)) < 0.9*float64(cores) {
			names = append(names, c.Name)
		}
		others = append(others, column(samples[i], func(s sample) float64 { return s.Others })...)
	}
	s := summarize(others)
	r.printf("- other work on the machine: %.2f cores in the median slice (%.2f to %.2f)\n", s.Median, s.Min, s.Max)
	if r.again > 0 {
		r.printf("- note: %d slices were taken again, because requests had no answer within 10 s, or their connection was lost\n", r.again)
		r.again = 0
	}
	if len(names) > 0 {
		who := strings.Join(names, "; ")
		if len(names) > 1 && len(names) == len(candidates) {
			who = "any of them"
		}
		r.printf("- note: not all of their %d cores were kept busy by %s: upstream, wrk or other work held them up\n", cores, who)
	}
}
