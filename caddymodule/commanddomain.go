package caddymodule

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
)

// domainCommands are the subcommands of domain.
func domainCommands() []*cobra.Command {
	return []*cobra.Command{
		leaf{
			use: "list TENANT ENVIRONMENT", short: "Lists the host names of an environment, verified and claimed", args: cobra.ExactArgs(2), completes: ofEnvironment,
			flags: func(fs *pflag.FlagSet) { fs.Bool("csv", false, "print CSV") },
			run: func(ctx context.Context, s *session, args []string) error {
				l := listing[adminapi.Domain]{
					columns: []string{"HOST NAME", "STATE", "METHOD", "VERIFIED", "CLAIM ENDS", "LAST FAILURE"},
					row: func(d *adminapi.Domain) []any {
						return []any{d.Hostname, domainState(d), d.Method, d.VerifiedAt, d.ExpiresAt, d.Failure}
					},
					page: func(int, string) (*adminapi.List[adminapi.Domain], error) {
						return s.ListDomains(ctx, args[0], args[1])
					},
				}
				return l.print(s, 0, s.flag("csv"))
			},
		}.command(),
		leaf{
			use: "show TENANT ENVIRONMENT HOSTNAME", short: "Shows a host name, and how its owner proves it", args: cobra.ExactArgs(3), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				d, err := s.GetDomain(ctx, args[0], args[1], args[2])
				if err != nil {
					return err
				}
				return s.show(d, func(w *table) { domainPairs(w, d) })
			},
		}.command(),
		leaf{
			use: "add TENANT ENVIRONMENT HOSTNAME", short: "Adds a host name, as a claim that its owner has to prove", args: cobra.ExactArgs(3), completes: ofEnvironment,
			long: `
The answer says what the owner has to publish. With --verified you vouch for the name:
it is served at once, and nobody has to prove anything.
`,
			example: `  tenantgate domain add acme production app.acme.com
  tenantgate domain add acme production app.acme.com --verified`,
			flags: func(fs *pflag.FlagSet) { fs.Bool("verified", false, "vouch for it") },
			run: func(ctx context.Context, s *session, args []string) error {
				d, err := s.AddDomain(ctx, args[0], args[1], adminapi.DomainRequest{Hostname: args[2], Verified: s.flag("verified")})
				if err != nil {
					return err
				}
				return s.show(d, func(w *table) { domainPairs(w, d) })
			},
		}.command(),
		leaf{
			use: "verify TENANT ENVIRONMENT HOSTNAME", short: "Vouches for a host name: nobody has to prove it any more", args: cobra.ExactArgs(3), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				d, err := s.VerifyDomain(ctx, args[0], args[1], args[2])
				if err != nil {
					return err
				}
				return s.say(d, "%s is verified for %s, %s", d.Hostname, args[0], args[1])
			},
		}.command(),
		leaf{
			use: "move TENANT ENVIRONMENT HOSTNAME --to ENVIRONMENT", short: "Takes a host name to another environment", args: cobra.ExactArgs(3), completes: ofEnvironment,
			long: `
Within a tenant it stays what it is. Another tenant has to prove it anew, and till then
nobody is served at it.
`,
			flags: func(fs *pflag.FlagSet) {
				fs.String("to", "", "environment that gets it")
				fs.String("to-tenant", "", "tenant of that environment (default: the same)")
			},
			run: func(ctx context.Context, s *session, args []string) error {
				if s.text("to") == "" {
					return usage("--to ENVIRONMENT is needed")
				}
				d, err := s.MoveDomain(ctx, args[0], args[1], args[2], adminapi.MoveDomainRequest{Tenant: s.text("to-tenant"), Environment: s.text("to")})
				if err != nil {
					return err
				}
				return s.show(d, func(w *table) { domainPairs(w, d) })
			},
		}.command(),
		leaf{
			use: "remove TENANT ENVIRONMENT HOSTNAME", short: "Takes a host name from an environment", args: cobra.ExactArgs(3), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				if err := s.RemoveDomain(ctx, args[0], args[1], args[2]); err != nil {
					return err
				}
				return s.say(done{true}, "%s leads to %s, %s no more", args[2], args[0], args[1])
			},
		}.command(),
	}
}

func domainState(d *adminapi.Domain) string {
	if d.Verified {
		return "verified"
	}
	return "claimed"
}

// domainPairs prints a host name for people.
func domainPairs(w *table, d *adminapi.Domain) {
	w.row("host name", d.Hostname)
	w.row("state", domainState(d))
	w.row("tenant", d.TenantID)
	w.row("environment", d.EnvironmentID)
	if d.Verified {
		w.row("verified", d.VerifiedAt)
		w.row("method", d.Method)
		return
	}
	if p := d.Proof; p != nil {
		w.row("TXT record", p.DNSName)
		w.row("with", p.DNSValue)
		w.row("or at", p.HTTPURL)
	}
	w.row("last check", d.CheckedAt)
	w.row("it failed", d.Failure)
	w.row("next check", d.NextCheckAt)
	w.row("claim ends", d.ExpiresAt)
}
