package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// shortest is how long a run has to be for growth to count.
const shortest = 30 * time.Minute

// outcome is what a run was and what came of it.
type outcome struct {
	machine  string
	version  string
	began    time.Time
	took     time.Duration
	options  options
	tally    *tally
	quick    *histogram
	samples  *samples
	admitted map[string]int64
	growth   []growth
	rest     atRest
	// cores is how many cores the gateways and all others kept busy in the mean.
	cores, allCores float64
	logged          map[string]int // errors and worse in the gateways' logs, by message
}

// judge returns what is wrong with a run; nothing where all is well.
func (o *outcome) judge() []string {
	var wrong []string
	if o.tally.failed > 0 {
		wrong = append(wrong, counted(o.tally.failed, "failure"))
	}
	if o.took >= shortest {
		for _, g := range o.growth {
			if !g.flat {
				wrong = append(wrong, fmt.Sprintf("%s of gateway %d grew by %.1f %s an hour, at most %.0f are flat", g.name, g.gateway+1, g.slope, g.unit, g.most))
			}
		}
		wrong = append(wrong, o.rest.judge()...)
	}
	return wrong
}

// counted returns a number with its noun.
func counted[T int | int64](n T, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprint(n, " ", noun)
}

// write writes the report as Markdown.
func (o *outcome) write(w io.Writer, picture string) error {
	var b strings.Builder
	requests, failed := o.tally.total()
	verdict := "Nothing was wrong"
	if wrong := o.judge(); len(wrong) > 0 {
		verdict = "**Failed**: " + strings.Join(wrong, "; ")
	}
	fmt.Fprintf(&b, "# Soak: %s of mixed load\n\n%s: %d requests, %d for the wrong tenant, %s in all.\n\n", o.took.Round(time.Second), verdict, requests, o.tally.wrong, counted(failed, "failure"))
	fmt.Fprintf(&b, "Made by `./test/soak/run -duration %s` on %s (commit %s, %s): %d gateways, one sqld, one Redis, %d upstreams, the load and all of it on one machine. The gateways kept %.2f cores busy in the mean, everything together %.2f.\n\n",
		o.options.duration, o.began.UTC().Format("2006-01-02 15:04 UTC"), o.version, o.machine, o.options.gateways, len(o.samples.system.upstreams), o.cores, o.allCores)
	o.writeGrowth(&b, picture)
	o.writeRequests(&b)
	o.writeEvents(&b)
	o.writeShared(&b)
	o.writeFailures(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (o *outcome) writeGrowth(b *strings.Builder, picture string) {
	fmt.Fprintf(b, "## Memory, goroutines, file descriptors\n\n![over the time of the run](%s)\n\n", picture)
	b.WriteString("A straight line through the last three quarters of the run, by least squares. The heap is what a collection leaves. One gateway is restarted before.\n\n")
	b.WriteString("| | gateway | after a quarter | at the end | an hour's growth | is flat below | highest | |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, g := range o.growth {
		verdict, most := "flat", fmt.Sprintf("%.0f", g.most)
		switch {
		case g.most == 0:
			verdict, most = "", "-"
		case !g.known || o.took < shortest:
			verdict = "the run was too short to say"
		case !g.flat:
			verdict = "**grows**"
		}
		name := g.name
		if g.unit != "" {
			name += ", " + g.unit
		}
		fmt.Fprintf(b, "| %s | %d | %.1f | %.1f | %+.1f | %s | %.1f | %s |\n", name, g.gateway+1, g.first, g.last, g.slope, most, g.high, verdict)
	}
	b.WriteString("\n")
	o.rest.write(b)
}

func (o *outcome) writeRequests(b *strings.Builder) {
	b.WriteString("## Requests\n\nEvery answer was held against the tenants as they were at that moment: status, refusal, tenant, environment, plan and upstream.\n\n")
	b.WriteString("| kind | answers | p50 | p99 | longest |\n| --- | --- | --- | --- | --- |\n")
	for _, kind := range slices.Sorted(maps.Keys(o.tally.kinds)) {
		h := o.tally.times[kind]
		if h.n == 0 {
			fmt.Fprintf(b, "| %s | %s | | | |\n", kind, o.tally.statuses(kind))
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", kind, o.tally.statuses(kind), short(h.quantile(0.5)), short(h.quantile(0.99)), short(h.highest))
	}
	fmt.Fprintf(b, "| all but the slow kinds | | %s | %s | %s |\n\n", short(o.quick.quantile(0.5)), short(o.quick.quantile(0.99)), short(o.quick.highest))
	if len(o.tally.late) > 0 {
		b.WriteString("Answers that showed what was before a change, by how long after the change's answer they came (in steps of 250 ms; after an outage of the registry, from its end):")
		for _, late := range slices.Sorted(maps.Keys(o.tally.late)) {
			fmt.Fprintf(b, " %d within %s,", o.tally.late[late], late)
		}
		fmt.Fprintf(b, " none later.\n\n")
	}
	if len(o.admitted) > 0 {
		fmt.Fprintf(b, "Of the tenants over quota (%d requests a minute, %d at once, over both gateways):", limitedRate, limitedBurst)
		for _, slug := range slices.Sorted(maps.Keys(o.admitted)) {
			fmt.Fprintf(b, " %s was served %d times,", slug, o.admitted[slug])
		}
		fmt.Fprintf(b, " of %.0f that the rate allows in that time and a burst of %d on top, once more for each time that Redis lost everything.\n\n", limitedRate*o.took.Minutes(), limitedBurst)
	}
}

func (o *outcome) writeEvents(b *strings.Builder) {
	b.WriteString("## What happened meanwhile\n\n| | times |\n| --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(o.tally.events)) {
		fmt.Fprintf(b, "| %s | %d |\n", name, o.tally.events[name])
	}
	b.WriteString("\n")
	if s := &o.samples.system.registryDown; s.count() > 0 {
		fmt.Fprintf(b, "sqld did not answer this program within a second in %d stretches, for %s in all; those in which it was killed or hung are among them.\n\n",
			s.count(), s.sum().Round(time.Millisecond))
	}
	if n := o.samples.system.stalls.count(); n > 0 {
		fmt.Fprintf(b, "The machine stood still %d times, for %s in all: the program that makes the load did not run either, or could write nothing. %d answers from then and shortly after are excused.\n\n",
			n, o.samples.system.stalls.sum().Round(time.Millisecond), o.tally.excused)
	}
	if len(o.logged) > 0 {
		b.WriteString("Errors in the gateways' logs:\n\n| message | times |\n| --- | --- |\n")
		for _, message := range slices.Sorted(maps.Keys(o.logged)) {
			fmt.Fprintf(b, "| %s | %d |\n", strings.ReplaceAll(message, "|", "\\|"), o.logged[message])
		}
		b.WriteString("\n")
	}
}

func (o *outcome) writeShared(b *strings.Builder) {
	b.WriteString("## What the gateways share\n\n| | at first | after a quarter | at the end | highest |\n| --- | --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(o.samples.shared)) {
		s := o.samples.shared[name]
		_, high := s.bounds()
		quarter := s.after(o.took / 4)
		if len(quarter.values) == 0 {
			quarter = s
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", name, number(s.values[0]), number(quarter.values[0]), number(s.values[len(s.values)-1]), number(high))
	}
	fmt.Fprintf(b, "\nThe change log and the audit log are kept for longer than a run, so these two grow with every change.\n%d samples could not be taken because what they are of was away.\n\n", o.samples.missed)
}

func (o *outcome) writeFailures(b *strings.Builder) {
	if len(o.tally.failures) == 0 {
		return
	}
	fmt.Fprintf(b, "## Failures\n\nThe first %d of %d:\n\n", len(o.tally.failures), o.tally.failed)
	for _, f := range o.tally.failures {
		fmt.Fprintf(b, "- %s, %s: `%s`\n", f.at.Round(10*time.Millisecond), f.kind, strings.ReplaceAll(f.text, "\n", " "))
	}
}

// short writes a duration with about three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
