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
	for _, c := range commands() {
		caddycmd.RegisterCommand(c)
	}
}

// commands are all that Tenantgate adds to Caddy's.
func commands() []caddycmd.Command {
	return []caddycmd.Command{
		parent("tenant", "Works on tenants", `
Works on tenants: creates, changes, suspends, restores, inspects and moves them.
`+whereLong+exitCodes,
			append(tenantCommands(), importCommand(), exportCommand(), doctorCommand())...),
		parent("environment", "Works on the environments of a tenant", `
Works on the environments of a tenant.
`+whereLong+exitCodes, environmentCommands()...),
		parent("domain", "Works on the host names of an environment", `
Works on the host names of an environment.
`+whereLong+exitCodes, domainCommands()...),
		parent("member", "Works on the members of an environment", `
Works on the members of an environment: who may use it, and in which role.
`+whereLong+exitCodes, memberCommands()...),
		parent("key", "Works on the API keys of an environment", `
Works on the API keys of an environment. A key is shown once, by create or rotate.
`+whereLong+exitCodes, keyCommands()...),
		parent("credential", "Works on the database credentials of an environment", credentialLong+whereLong+exitCodes, credentialCommands()...),
		parent("plan", "Works on plans", `
Works on plans: quotas and upstreams that tenants share.
`+whereLong+exitCodes, planCommands()...),
		parent("usage", "Works on what tenants use", `
Works on what tenants use: lists the requests to bill, records and checks what
applications use of quotas that they own. "tenant usage" shows the limits.
`+whereLong+exitCodes, usageCommands()...),
	}
}

const whereLong = `
The commands go through the admin endpoint of a running gateway, which holds a
change at once; --address or --config says where that is. With --registry URL they
work straight on the registry, without a gateway, and running gateways notice within
two of their polls: URL is "file:PATH" or that of a libSQL server. The token of a
server comes from the file named by --auth-token-file, or from the environment
variable TENANT_REGISTRY_TOKEN; never from an argument, which others on the machine
could read. import, export and doctor always work on the registry, and also take its
URL from the environment variable TENANT_REGISTRY.

Tenants and environments are named by slug or id. With --json the answer is JSON on
standard output, and an error is JSON on standard error.
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
	keys, err := environmentKeyring()
	if err != nil {
		return nil, err
	}
	return registry.Open(registry.Options{URL: url, AuthToken: token, Timeout: timeout, Keys: keys})
}

// interruptible returns a context that ends with an interrupt, so that a transaction is rolled back.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
