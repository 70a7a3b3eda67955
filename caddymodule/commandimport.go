package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tenantgate/tenantgate/registry"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE [--registry URL] [--dry-run] [--json]",
		Short: "Writes an import file into a registry",
		Long: `
Writes tenants, environments and plans from a file in the import format into a
registry. Only what differs is written, in one transaction: a file with a bad
record changes nothing. What the file does not mention stays as it is.

With --dry-run nothing is written: each record that would be is shown, "+" for a new
one and "~" for one that changes, with what changes in it, and then the summary. (The
schema of an existing registry is brought up to date all the same.)
` + exitCodes,
		Example: `  tenantgate tenant import tenants.json --registry file:tenants.db
  TENANT_REGISTRY=https://registry.example.com tenantgate tenant import tenants.json --auth-token-file token --dry-run`,
		Args: cobra.ExactArgs(1),
	}
	registryFlags(cmd)
	cmd.Flags().Bool("dry-run", false, "say what would change, and write nothing")
	cmd.Flags().Bool("json", false, "print the summary as JSON")
	cmd.RunE = reporting(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		return coded(runImport(ctx, caddycmd.Flags{FlagSet: cmd.Flags()}, commandTerminal(cmd)))
	})
	return cmd
}

// runImport is the subcommand import.
func runImport(ctx context.Context, fl caddycmd.Flags, t terminal) (int, error) {
	path := fl.Arg(0)
	store, err := openRegistry(fl)
	if err != nil {
		return exitUsage, err
	}
	defer func() { _ = store.Close() }()
	shown := store.RedactedURL()
	if err := registry.CheckFile(path); err != nil {
		return exitCode(err), err
	}
	dryRun := fl.Bool("dry-run")
	if dryRun && missingFile(shown) {
		// Compare with an empty registry elsewhere, rather than to make one here.
		dir, err := os.MkdirTemp("", "tenantgate-dry-run-")
		if err != nil {
			return exitUsage, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		empty, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(dir, "empty.db")})
		if err != nil {
			return exitUsage, err
		}
		defer func() { _ = empty.Close() }()
		store = empty
	}
	if err := migrate(ctx, store); err != nil {
		return exitCode(err), err
	}
	bar := &progressBar{terminal: t}
	var diff differences
	report, err := store.ImportFile(ctx, path, registry.ImportOptions{
		Actor: "import", DryRun: dryRun, Progress: bar.show, Difference: diff.add,
	})
	bar.clear()
	if err != nil {
		return exitCode(err), err
	}
	s := summary{
		File: path, Registry: shown, DryRun: dryRun, Plans: count(report.Plans), Tenants: count(report.Tenants),
		Environments: count(report.Environments), Domains: count(report.Domains), Members: count(report.Members),
		Databases: count(report.Databases), UnknownPlans: report.UnknownPlans, Differences: diff.list, MoreDifferences: diff.more,
	}
	if !fl.Bool("json") {
		if err := diff.print(t); err != nil {
			return exitUsage, err
		}
	}
	if err := s.print(t, fl.Bool("json")); err != nil {
		return exitUsage, err
	}
	return exitDone, nil
}

// missingFile reports whether url is an embedded registry that does not exist yet.
func missingFile(url string) bool {
	path, ok := registryFile(url)
	if !ok {
		return false
	}
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// summary is what import prints.
type summary struct {
	File         string `json:"file"`
	Registry     string `json:"registry"`
	DryRun       bool   `json:"dryRun"`
	Plans        counts `json:"plans"`
	Tenants      counts `json:"tenants"`
	Environments counts `json:"environments"`
	Domains      counts `json:"domains"`
	Members      counts `json:"members"`
	Databases    counts `json:"databases"`
	// UnknownPlans are plans of tenants that nobody defines.
	UnknownPlans []string `json:"unknownPlans,omitempty"`
	// Differences are what a dry run would write, at most 1000; MoreDifferences is how many more there are.
	Differences     []difference `json:"differences,omitempty"`
	MoreDifferences int64        `json:"moreDifferences,omitempty"`
}

// counts are those of one kind of record.
type counts struct {
	Created   int64 `json:"created"`
	Updated   int64 `json:"updated"`
	Unchanged int64 `json:"unchanged"`
}

func count(c registry.ImportCount) counts {
	return counts{Created: c.Created, Updated: c.Updated, Unchanged: c.Unchanged}
}

func (s *summary) print(t terminal, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(t.out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	verb := "imported"
	if s.DryRun {
		verb = "would import"
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(t.out, "%s %s into %s\n", verb, s.File, s.Registry)
	_, _ = fmt.Fprintln(w, "\tcreated\tupdated\tunchanged\t")
	for _, row := range []struct {
		name string
		counts
	}{
		{"plans", s.Plans},
		{"tenants", s.Tenants},
		{"environments", s.Environments},
		{"domains", s.Domains},
		{"members", s.Members},
		{"databases", s.Databases},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", row.name, row.Created, row.Updated, row.Unchanged)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(s.UnknownPlans) > 0 {
		_, _ = fmt.Fprintf(t.out, "no such plan, and so no limits of a plan: %s\n", strings.Join(s.UnknownPlans, ", "))
	}
	return nil
}
