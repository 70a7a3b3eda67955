package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tenantgate/tenantgate/registry"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "tenant",
		Usage: "import|export ...",
		Short: "Works on a registry of tenants",
		Long: `
Works on a registry of tenants, straight and without a gateway. Running gateways
notice what changes.

The registry is named by --registry or the environment variable TENANT_REGISTRY:
"file:PATH", or the URL of a libSQL server. The token of a server comes from the
file named by --auth-token-file, or from the environment variable
TENANT_REGISTRY_TOKEN; never from an argument, which others on the machine could
read.
` + exitCodes,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(importCommand(), exportCommand())
			// Without a subcommand: help, and not a success, because nothing was done.
			cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
				_ = cmd.Help()
				return exitUsage, errors.New("a subcommand is needed: import or export")
			})
		},
	})
}

// The exit codes of the subcommands.
const (
	exitDone     = 0
	exitUsage    = 1
	exitInvalid  = 2
	exitRegistry = 3
)

const exitCodes = `
Exit codes:
  0  done (also when there was nothing to change)
  1  wrong usage, or a local file cannot be read or written
  2  the import file is invalid, or contradicts the registry; nothing was written
  3  the registry cannot be used: it is down, refuses the token, or is newer
     than this binary
`

// terminal is what a command writes to.
type terminal struct {
	out, err io.Writer
	// live says that err is a terminal, on which a line may be rewritten.
	live bool
}

// registryFlags adds the flags that say which registry is meant.
func registryFlags(cmd *cobra.Command) {
	cmd.Flags().String("registry", "", "URL of the registry (default: the environment variable TENANT_REGISTRY)")
	cmd.Flags().String("auth-token-file", "", "file that holds the registry's token (default: the environment variable TENANT_REGISTRY_TOKEN)")
	cmd.Flags().Duration("timeout", 0, "bound of each call of the registry (default 5s)")
}

// openRegistry opens the registry that the flags and the environment name.
func openRegistry(fl caddycmd.Flags) (*registry.Store, error) {
	url := fl.String("registry")
	if url == "" {
		url = os.Getenv("TENANT_REGISTRY")
	}
	if url == "" {
		return nil, errors.New("which registry? Give --registry URL or set TENANT_REGISTRY")
	}
	token := os.Getenv("TENANT_REGISTRY_TOKEN")
	if path := fl.String("auth-token-file"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the token: %w", err)
		}
		if token = strings.TrimSpace(string(text)); token == "" {
			return nil, fmt.Errorf("reading the token: %s is empty", path)
		}
	}
	timeout, err := time.ParseDuration(fl.String("timeout"))
	if err != nil || timeout < 0 {
		return nil, errors.New("--timeout must be a positive duration")
	}
	return registry.Open(registry.Options{URL: url, AuthToken: token, Timeout: timeout})
}

// exitCode chooses the exit code for an error of the registry package.
func exitCode(err error) int {
	var bad *registry.DocumentError
	var path *os.PathError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, registry.ErrUnavailable):
		return exitRegistry
	case errors.As(err, &bad):
		return exitInvalid
	case errors.As(err, &path):
		return exitUsage
	}
	return exitInvalid
}

// interruptible returns a context that ends with an interrupt, so that a transaction is rolled back.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
