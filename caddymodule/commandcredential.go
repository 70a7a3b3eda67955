package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

const credentialLong = `
Works on the credentials of an environment's database: the registry keeps their
secrets sealed, and hands them out to whoever may reveal them. No tenant's traffic
ever sees them.

A secret comes from standard input or from the file named by --secret-file, never from
an argument, which others on the machine could read. The newline at its end is left
out. The keys that seal are those of the gateway's configuration (secrets); with
--registry they come from the environment variable TENANT_SECRET_KEYS, as ID=KEY,ID=KEY,
of which the first one seals. A key is 32 random bytes in base64 or hex: openssl rand
-base64 32 prints one.
`

// ofCredential are the arguments of commands for one credential.
var ofCredential = []string{"tenant", "environment", "credential"}

// credentialCommands are the subcommands of credential.
func credentialCommands() []*cobra.Command {
	return []*cobra.Command{
		leaf{
			use: "list TENANT ENVIRONMENT", short: "Lists the credentials of an environment without their secrets, revoked ones too", args: cobra.ExactArgs(2), completes: ofEnvironment,
			flags: func(fs *pflag.FlagSet) {
				fs.Bool("csv", false, "print CSV")
				limitFlag(fs)
			},
			run: runCredentialList,
		}.command(),
		leaf{
			use: "show TENANT ENVIRONMENT ID", short: "Shows the record of a credential, without its secret", args: cobra.ExactArgs(3), completes: ofCredential,
			run: func(ctx context.Context, s *session, args []string) error {
				c, err := s.GetCredential(ctx, args[0], args[1], args[2])
				if err != nil {
					return err
				}
				return s.show(c, func(w *table) { credentialPairs(w, c) })
			},
		}.command(),
		leaf{
			use: "create TENANT ENVIRONMENT [--scope SCOPE]", short: "Stores a credential, sealed", args: cobra.ExactArgs(2), completes: ofEnvironment,
			long: `
The secret comes from standard input or from --secret-file. Of each scope one
credential is active: rotate replaces it.
`,
			example: `  tenantgate credential create acme production --scope readonly <token.txt`,
			flags: func(fs *pflag.FlagSet) {
				fs.String("scope", "readwrite", "what it allows: readwrite, readonly or admin")
				secretFlags(fs)
				creationFlag(fs)
			},
			run: runCredentialCreate,
		}.command(),
		leaf{
			use: "rotate TENANT ENVIRONMENT ID", short: "Replaces an active credential", args: cobra.ExactArgs(3), completes: ofCredential,
			long: `
The new secret comes from standard input or from --secret-file, and is the active one at
once. The old one is rotating: it can be revealed until it is revoked, and so
long there is no further rotation.
`,
			flags: func(fs *pflag.FlagSet) {
				secretFlags(fs)
				versionFlag(fs)
			},
			run: runCredentialRotate,
		}.command(),
		leaf{
			use: "revoke TENANT ENVIRONMENT ID", short: "Ends a credential and destroys its secret; its record stays", args: cobra.ExactArgs(3), completes: ofCredential,
			flags: versionFlag,
			run: func(ctx context.Context, s *session, args []string) error {
				c, err := s.RevokeCredential(ctx, args[0], args[1], args[2], s.version())
				if err != nil {
					return err
				}
				return s.say(c, "revoked the %s credential %s", c.Scope, c.ID)
			},
		}.command(),
		leaf{
			use: "reveal TENANT ENVIRONMENT ID", short: "Shows the secret of a credential; the audit log says who asked", args: cobra.ExactArgs(3), completes: ofCredential,
			long: `
The secret alone is on standard output, with a newline at its end.
`,
			flags: versionFlag,
			run: func(ctx context.Context, s *session, args []string) error {
				c, err := s.RevealCredential(ctx, args[0], args[1], args[2], s.version())
				if err != nil {
					return err
				}
				if s.json {
					return s.printJSON(c)
				}
				_, err = fmt.Fprintln(s.out, c.Secret)
				return err
			},
		}.command(),
		leaf{
			use: "reseal", short: "Seals the credentials of all tenants with the first key", args: cobra.NoArgs,
			long: `
For a change of keys: put the new key first, run this, and take away the keys that have
no credential any more. It can be run again at any time; what is sealed with the first
key already stays as it is.
`,
			run: runReseal,
		}.command(),
	}
}

func runCredentialList(ctx context.Context, s *session, args []string) error {
	l := listing[registry.DatabaseCredential]{
		columns: []string{"ID", "SCOPE", "STATUS", "KEY", "EXPIRES", "CREATED"},
		row: func(c *registry.DatabaseCredential) []any {
			return []any{c.ID, c.Scope, c.Status, c.KeyID, c.ExpiresAt, c.CreatedAt}
		},
		page: func(limit int, cursor string) (*adminapi.List[registry.DatabaseCredential], error) {
			return s.ListCredentials(ctx, args[0], args[1], registry.Page{Limit: limit, Cursor: cursor})
		},
	}
	return l.print(s, s.number("limit"), s.flag("csv"))
}

// credentialPairs prints the record of a credential for people.
func credentialPairs(w *table, c *registry.DatabaseCredential) {
	w.row("id", c.ID)
	w.row("scope", c.Scope)
	w.row("status", c.Status)
	w.row("key", c.KeyID)
	w.row("replaces", idText(c.RotatedFrom))
	w.row("expires", c.ExpiresAt)
	w.row("revoked", c.RevokedAt)
	w.row("created", c.CreatedAt)
	w.row("version", c.Version)
}

func runCredentialCreate(ctx context.Context, s *session, args []string) error {
	expires, err := s.instant("expires", false)
	if err != nil {
		return err
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return err
	}
	c, err := s.CreateCredential(ctx, args[0], args[1], adminapi.CredentialRequest{Scope: s.text("scope"), Secret: secret, ExpiresAt: expires}, s.text("idempotency-key"))
	if err != nil {
		return err
	}
	return s.say(c, "stored the %s credential %s of %s, %s", c.Scope, c.ID, args[0], args[1])
}

func runCredentialRotate(ctx context.Context, s *session, args []string) error {
	expires, err := s.instant("expires", false)
	if err != nil {
		return err
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return err
	}
	c, err := s.RotateCredential(ctx, args[0], args[1], args[2], s.version(), adminapi.RotateCredentialRequest{Secret: secret, ExpiresAt: expires})
	if err != nil {
		return err
	}
	return s.say(c, "stored the %s credential %s; revoke %s when nobody uses it any more", c.Scope, c.ID, c.RotatedFrom)
}

// mostUnopened is how many credentials that stay closed are kept for the answer.
const mostUnopened = 1000

// runReseal goes over all credentials, a part at a time.
func runReseal(ctx context.Context, s *session, _ []string) error {
	all := registry.Reseal{Unopened: []registry.UnopenedCredential{}}
	closed := 0
	for {
		r, err := s.ResealCredentials(ctx, adminapi.ResealRequest{Cursor: all.Next})
		if err != nil {
			return errors.Join(err, s.tellReseal(all.Resealed))
		}
		all.KeyID, all.Next, all.Keys = r.KeyID, r.Next, r.Keys
		all.Resealed += r.Resealed
		closed += len(r.Unopened)
		if room := mostUnopened - len(all.Unopened); room > 0 {
			all.Unopened = append(all.Unopened, r.Unopened[:min(room, len(r.Unopened))]...)
		}
		if r.Next == "" {
			break
		}
	}
	err := s.show(all, func(w *table) {
		w.row("KEY", "SEALED", "CONFIGURED")
		for _, k := range all.Keys {
			w.row(k.ID, k.Credentials, k.Configured)
		}
	})
	if err != nil {
		return err
	}
	if err := s.tellReseal(all.Resealed); err != nil {
		return err
	}
	if closed == 0 {
		return nil
	}
	first := all.Unopened[0]
	return &commandError{
		exit: exitConflict, code: registry.CodeStateConflict,
		text: fmt.Sprintf("%d credentials stay as they are, such as %s of the environment %s: their keys, such as %s, are not configured, or do not open them",
			closed, first.ID, first.Environment, first.KeyID),
	}
}

// tellReseal says for people how much was done.
func (s *session) tellReseal(n int) error {
	if s.json {
		return nil
	}
	_, err := fmt.Fprintf(s.err, "resealed %d credentials\n", n)
	return err
}
