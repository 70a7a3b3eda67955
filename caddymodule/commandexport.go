package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tenantgate/tenantgate/registry"
)

func exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [--registry URL] [-o FILE]",
		Short: "Writes a registry as an import file",
		Long: `
Writes all tenants, environments and plans of a registry in the import format, to
standard output or to a file. The file appears only when it is complete; meanwhile a
terminal shows how much was written.
` + exitCodes,
		Example: `  tenantgate tenant export --registry file:tenants.db -o tenants.json`,
		Args:    cobra.NoArgs,
	}
	registryFlags(cmd)
	cmd.Flags().StringP("output", "o", "", "file to write (default: standard output)")
	cmd.RunE = reporting(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		return coded(runExport(ctx, caddycmd.Flags{FlagSet: cmd.Flags()}, commandTerminal(cmd)))
	})
	return cmd
}

// runExport is the subcommand export.
func runExport(ctx context.Context, fl caddycmd.Flags, t terminal) (int, error) {
	store, err := openRegistry(fl)
	if err != nil {
		return exitUsage, err
	}
	defer func() { _ = store.Close() }()
	if missingFile(store.RedactedURL()) {
		return exitUsage, fmt.Errorf("registry %s does not exist", store.RedactedURL())
	}
	if err := migrate(ctx, store); err != nil {
		return exitCode(err), err
	}
	if path := fl.String("output"); path != "" {
		bar := &progressBar{terminal: t}
		defer bar.clear()
		return exportFile(ctx, store, path, bar)
	}
	w := bufio.NewWriter(t.out)
	if err := errors.Join(store.Export(ctx, w), w.Flush()); err != nil {
		return exitCode(err), err
	}
	return exitDone, nil
}

// exportFile writes to a file beside path and then renames it, so that path is never half written.
func exportFile(ctx context.Context, store *registry.Store, path string, bar *progressBar) (int, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return exitUsage, err
	}
	done := false
	defer func() {
		if !done {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriter(&progressWriter{w: f, bar: bar})
	if err := store.Export(ctx, w); err != nil {
		return exitCode(err), err
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return exitUsage, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return exitUsage, err
	}
	done = true
	return exitDone, nil
}
