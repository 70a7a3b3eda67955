package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// results are the figures of a run that the plot shows.
type results struct {
	// Peers are ratios to plain reverse_proxy, Refusals are answers per second.
	Peers, Refusals []bar
	// Tenants are ratios over the number of tenants, Cores requests per second over the number of cores.
	Tenants, Cores []line
	// CoresAxis says what the number of cores means.
	CoresAxis string
}

// bar is one figure.
type bar struct {
	Label string
	// Ours is true for the gateway.
	Ours  bool
	Value summary
}

// line is one figure over another.
type line struct {
	Label  string
	Points []point
}

// point is one figure of a line.
type point struct {
	X float64
	Y summary
}

const (
	resultsFile = "RESULTS.md"
	plotFile    = "results.svg"
)

// writeResults writes the report as a page with a plot into -results.
func (b *bench) writeResults(facts []string) error {
	plot, err := b.results.svg()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.Results, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.Results, plotFile), plot, 0o644); err != nil {
		return err
	}
	return writeFile(filepath.Join(b.Results, resultsFile), func(w io.Writer) error {
		_, err := io.WriteString(w, resultsPage(facts, b.report.budgets, b.report.sections.String()))
		return err
	})
}

// resultsPage puts a page together: the plot, how it was made, what was to be reached, and the scenarios' tables.
func resultsPage(facts, budgets []string, sections string) string {
	var page strings.Builder
	page.WriteString("# Results of the benchmark\n\n")
	page.WriteString("Written by one run of the program in this directory; [README.md](README.md) says what is compared, why it is fair, and how to\n")
	page.WriteString("read it. Requests per second of another machine or another hour are others: only ratios within one run mean anything.\n\n")
	fmt.Fprintf(&page, "![Requests per second against peers, refusals per second, and the curves over tenants and cores](%s)\n\n", plotFile)
	page.WriteString("## How it was made\n\n")
	for _, fact := range facts {
		fmt.Fprintf(&page, "- %s\n", fact)
	}
	if len(budgets) > 0 {
		page.WriteString("\n## Budgets\n\n")
		for _, budget := range budgets {
			page.WriteString(budget)
		}
	}
	page.WriteString(sections)
	return page.String()
}
