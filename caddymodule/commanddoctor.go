package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tenantgate/tenantgate/registry"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [--config FILE] [--registry URL]",
		Short: "Looks for what is wrong with a registry and a configuration",
		Long: `
Looks, changes nothing, and says for each finding what to do:

  config     the configuration can be read
  registry   it can be reached, and how fast it answers
  schema     its version is the one of this binary
  clock      its clock and that of this machine agree
  redis      the Redis of the quotas can be reached
  plans      every tenant's plan is defined
  pools      every pool that is named is in the configuration
  tenants    every active environment has an upstream
  domains    host names that are claimed and not verified yet
  upstreams  every upstream takes a connection (none is sent anything)
  logs       no access log shows API keys or tokens

The configuration is --config, else the file Caddyfile here. The registry is that of
--registry, TENANT_REGISTRY or the configuration, in this order.
` + exitCodes,
		Example: `  tenantgate tenant doctor --config /etc/tenantgate/Caddyfile`,
		Args:    cobra.NoArgs,
	}
	registryFlags(cmd)
	fs := cmd.Flags()
	fs.StringP("config", "c", "", "the gateway's configuration file (default: Caddyfile, where there is one)")
	fs.String("adapter", "", "adapter of the configuration file, such as caddyfile (default: by its name)")
	fs.Bool("no-connect", false, "do not connect to upstreams")
	fs.Bool("json", false, "print JSON")
	cmd.RunE = reporting(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		return runDoctor(ctx, caddycmd.Flags{FlagSet: cmd.Flags()}, commandTerminal(cmd))
	})
	return cmd
}

// How bad a finding is.
const (
	findingOK      = "ok"
	findingNote    = "note"
	findingWarning = "warning"
	findingError   = "error"
)

// finding is one result of a check.
type finding struct {
	Level string `json:"level"`
	Check string `json:"check"`
	// Detail is what was found, Advice what to do about it; empty where nothing is to be done.
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

// doctor collects findings.
type doctor struct {
	Findings []finding `json:"findings"`

	config *gatewayConfig // nil: there is none
	bar    *progressBar
}

func (d *doctor) add(level, check, advice, format string, args ...any) {
	d.Findings = append(d.Findings, finding{Level: level, Check: check, Detail: fmt.Sprintf(format, args...), Advice: advice})
}

// runDoctor is the subcommand doctor.
func runDoctor(ctx context.Context, fl caddycmd.Flags, t terminal) error {
	d := &doctor{bar: &progressBar{terminal: t}}
	if err := d.readConfig(fl.String("config"), fl.String("adapter")); err != nil {
		return err
	}
	store, err := d.open(fl)
	if err != nil {
		return err
	}
	if store != nil {
		defer func() { _ = store.Close() }() // everything was answered
		d.registry(ctx, store, !fl.Bool("no-connect"))
	}
	if d.config != nil {
		d.redis(ctx)
		d.logs()
	}
	d.bar.clear()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return d.print(t, fl.Bool("json"))
}

// readConfig reads the configuration; one that is bad is a finding, one that was named and is not there an error.
func (d *doctor) readConfig(path, adapter string) error {
	if path == "" {
		path = "Caddyfile"
		if _, err := os.Stat(path); err != nil {
			d.add(findingNote, "config", "give --config FILE to hold registry and configuration against each other", "no configuration is looked at")
			return nil
		}
	}
	if err := readableFile(path); err != nil {
		return err
	}
	config, err := loadGatewayConfig(path, adapter)
	if err != nil {
		d.add(findingError, "config", "correct the file; tenantgate validate --config "+path+" says the same", "%s: %v", path, err)
		return nil
	}
	d.config = config
	d.add(findingOK, "config", "", "%s can be read", path)
	return nil
}

// open opens the registry that the flags, the environment or the configuration name; nil where there is none to look at.
func (d *doctor) open(fl caddycmd.Flags) (*registry.Store, error) {
	var store *registry.Store
	var err error
	switch {
	case fl.String("registry") != "" || os.Getenv("TENANT_REGISTRY") != "":
		store, err = openRegistry(fl)
	case d.config != nil:
		var o registry.Options
		if o, err = d.config.Apps.Tenants.Registry.options(); err == nil {
			store, err = registry.Open(o)
		}
	default:
		d.add(findingError, "registry", "give --registry URL, or --config FILE", "no registry is named")
		return nil, nil
	}
	if err != nil {
		return nil, usage("%v", err)
	}
	return store, nil
}

// print prints the findings, and returns an error where one of them is.
func (d *doctor) print(t terminal, asJSON bool) error {
	bad := false
	for i := range d.Findings {
		bad = bad || d.Findings[i].Level == findingError
	}
	if asJSON {
		enc := json.NewEncoder(t.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(d); err != nil {
			return err
		}
	} else {
		for i := range d.Findings {
			f := &d.Findings[i]
			_, _ = fmt.Fprintf(t.out, "%-8s %-10s %s\n", f.Level, f.Check, line(f.Detail))
			if f.Advice != "" {
				_, _ = fmt.Fprintf(t.out, "%-8s %-10s → %s\n", "", "", line(f.Advice))
			}
		}
	}
	if bad {
		return errQuiet(codeFindings)
	}
	return nil
}
