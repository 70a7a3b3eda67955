package caddymodule

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// keyCommands are the subcommands of key.
func keyCommands() []*cobra.Command {
	return []*cobra.Command{
		leaf{
			use: "list TENANT ENVIRONMENT", short: "Lists the API keys of an environment, revoked and expired ones too", args: cobra.ExactArgs(2), completes: ofEnvironment,
			flags: func(fs *pflag.FlagSet) {
				fs.Bool("csv", false, "print CSV")
				limitFlag(fs)
			},
			run: runKeyList,
		}.command(),
		leaf{
			use: "show TENANT ENVIRONMENT ID", short: "Shows the record of an API key, without the key", args: cobra.ExactArgs(3), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				k, err := s.GetKey(ctx, args[0], args[1], args[2])
				if err != nil {
					return err
				}
				return s.show(k, func(w *table) { keyPairs(w, k) })
			},
		}.command(),
		leaf{
			use: "create TENANT ENVIRONMENT --name NAME", short: "Creates an API key and shows it once", args: cobra.ExactArgs(2), completes: ofEnvironment,
			long: `
The key alone is on standard output, so that it can be sent on; what else there is to
say is on standard error. Nobody can be shown it again.
`,
			example: `  tenantgate key create acme production --name ci --role env_user --expires 720h`,
			flags: func(fs *pflag.FlagSet) {
				fs.String("name", "", "what it is for")
				fs.String("user", "", "id of the user whom the key acts as")
				fs.String("role", "", roleUsage)
				fs.StringArray("scope", nil, "scope, for the upstream to heed; repeatable")
				fs.StringArray("quota", nil, "limit of the key as NAME=NUMBER; repeatable")
				fs.String("expires", "", "when it ends, such as 2027-01-31 or 720h (default: never)")
				creationFlag(fs)
			},
			run: runKeyCreate,
		}.command(),
		leaf{
			use: "rotate TENANT ENVIRONMENT ID", short: "Replaces an API key and shows the new one once", args: cobra.ExactArgs(3), completes: ofEnvironment,
			flags: func(fs *pflag.FlagSet) {
				fs.Duration("grace", 0, "for how long the old key still holds, at most 720h (default: it ends at once)")
				versionFlag(fs)
			},
			run: func(ctx context.Context, s *session, args []string) error {
				grace, err := s.flags.GetDuration("grace")
				if err != nil || grace < 0 || grace%time.Second != 0 {
					return badFlag("grace", "must be whole seconds, such as 24h")
				}
				k, err := s.RotateKey(ctx, args[0], args[1], args[2], s.version(), adminapi.RotateRequest{GraceSeconds: int64(grace / time.Second)})
				if err != nil {
					return err
				}
				return s.showKey(k)
			},
		}.command(),
		leaf{
			use: "revoke TENANT ENVIRONMENT ID", short: "Ends an API key at once and for good; its record stays", args: cobra.ExactArgs(3), completes: ofEnvironment,
			flags: versionFlag,
			run: func(ctx context.Context, s *session, args []string) error {
				k, err := s.RevokeKey(ctx, args[0], args[1], args[2], s.version())
				if err != nil {
					return err
				}
				return s.say(k, "revoked the key %s, %s", k.Name, k.ID)
			},
		}.command(),
	}
}

func runKeyList(ctx context.Context, s *session, args []string) error {
	l := listing[registry.APIKey]{
		columns: []string{"ID", "NAME", "ENDS IN", "USER", "ROLE", "STATE", "EXPIRES", "LAST USED"},
		row: func(k *registry.APIKey) []any {
			return []any{k.ID, k.Name, k.Last4, k.UserID, k.Role, keyState(k, time.Now()), k.ExpiresAt, k.LastUsedAt}
		},
		page: func(limit int, cursor string) (*adminapi.List[registry.APIKey], error) {
			return s.ListKeys(ctx, args[0], args[1], registry.Page{Limit: limit, Cursor: cursor})
		},
	}
	return l.print(s, s.number("limit"), s.flag("csv"))
}

// keyState says whether a key holds.
func keyState(k *registry.APIKey, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return "expired"
	}
	return "valid"
}

// keyPairs prints the record of a key for people.
func keyPairs(w *table, k *registry.APIKey) {
	w.row("id", k.ID)
	w.row("name", k.Name)
	w.row("ends in", k.Last4)
	w.row("user", k.UserID)
	w.row("role", k.Role)
	w.row("scopes", strings.Join(k.Scopes, " "))
	w.row("quotas", quotaText(k.Quotas))
	w.row("state", keyState(k, time.Now()))
	w.row("expires", k.ExpiresAt)
	w.row("revoked", k.RevokedAt)
	w.row("last used", k.LastUsedAt)
	w.row("replaces", idText(k.RotatedFrom))
	w.row("created", k.CreatedAt)
	w.row("created by", k.CreatedBy)
	w.row("version", k.Version)
}

func runKeyCreate(ctx context.Context, s *session, args []string) error {
	q, err := s.quotas(registry.Quotas{})
	if err != nil {
		return err
	}
	expires, err := s.instant("expires", false)
	if err != nil {
		return err
	}
	k, err := s.CreateKey(ctx, args[0], args[1], adminapi.KeyRequest{
		Name: s.text("name"), UserID: s.text("user"), Role: s.text("role"), Scopes: s.list("scope"), Quotas: q, ExpiresAt: expires,
	}, s.text("idempotency-key"))
	if err != nil {
		return err
	}
	return s.showKey(k)
}

// showKey shows a new key: alone on standard output for people and scripts, within the record as JSON.
func (s *session) showKey(k *adminapi.NewKey) error {
	if s.json {
		return s.printJSON(k)
	}
	if k.Key == "" { // an earlier command with the same --idempotency-key has shown it
		_, err := fmt.Fprintf(s.err, "the key %s is there already, and was shown when it was made: rotate it where that is lost\n", k.ID)
		return err
	}
	if _, err := fmt.Fprintf(s.err, "key %s (%s), shown only now:\n", k.ID, printable(k.Name)); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.out, k.Key)
	return err
}
