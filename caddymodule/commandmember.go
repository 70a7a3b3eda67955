package caddymodule

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

const roleUsage = "env_admin, env_maker, env_user or env_viewer"

// memberCommands are the subcommands of member.
func memberCommands() []*cobra.Command {
	return []*cobra.Command{
		leaf{
			use: "list TENANT ENVIRONMENT", short: "Lists the members of an environment by user id", args: cobra.ExactArgs(2), completes: ofEnvironment,
			flags: func(fs *pflag.FlagSet) {
				fs.String("role", "", "only in this role: "+roleUsage)
				fs.Bool("csv", false, "print CSV")
				limitFlag(fs)
			},
			run: func(ctx context.Context, s *session, args []string) error {
				l := listing[registry.Member]{
					columns: []string{"USER", "ROLE", "INVITED BY", "SINCE"},
					row:     func(m *registry.Member) []any { return []any{m.UserID, m.Role, m.InvitedBy, m.CreatedAt} },
					page: func(limit int, cursor string) (*adminapi.List[registry.Member], error) {
						return s.ListMembers(ctx, args[0], args[1], registry.MemberFilter{Role: s.text("role"), Page: registry.Page{Limit: limit, Cursor: cursor}})
					},
				}
				return l.print(s, s.number("limit"), s.flag("csv"))
			},
		}.command(),
		leaf{
			use: "show TENANT ENVIRONMENT USER", short: "Shows a member", args: cobra.ExactArgs(3), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				m, err := s.GetMember(ctx, args[0], args[1], args[2])
				if err != nil {
					return err
				}
				return s.show(m, func(w *table) {
					w.row("user", m.UserID)
					w.row("role", m.Role)
					w.row("invited by", m.InvitedBy)
					w.row("version", m.Version)
					w.row("since", m.CreatedAt)
				})
			},
		}.command(),
		leaf{
			use: "add TENANT ENVIRONMENT USER", short: "Lets a user use an environment", args: cobra.ExactArgs(3), completes: ofEnvironment,
			example: `  tenantgate member add acme production u1 --role env_admin`,
			flags: func(fs *pflag.FlagSet) {
				fs.String("role", "env_user", roleUsage)
				creationFlag(fs)
			},
			run: func(ctx context.Context, s *session, args []string) error {
				m, err := s.AddMember(ctx, args[0], args[1], adminapi.MemberRequest{UserID: args[2], Role: s.text("role")}, s.text("idempotency-key"))
				if err != nil {
					return err
				}
				return s.say(m, "%s is %s of %s, %s", m.UserID, m.Role, args[0], args[1])
			},
		}.command(),
		leaf{
			use: "update TENANT ENVIRONMENT USER --role ROLE", short: "Changes the role of a member", args: cobra.ExactArgs(3), completes: ofEnvironment,
			flags: func(fs *pflag.FlagSet) {
				fs.String("role", "", roleUsage)
				versionFlag(fs)
			},
			run: func(ctx context.Context, s *session, args []string) error {
				m, err := s.SetMemberRole(ctx, args[0], args[1], args[2], s.text("role"), s.version())
				if err != nil {
					return err
				}
				return s.say(m, "%s is %s of %s, %s", m.UserID, m.Role, args[0], args[1])
			},
		}.command(),
		leaf{
			use: "remove TENANT ENVIRONMENT USER", short: "Ends a membership", args: cobra.ExactArgs(3), completes: ofEnvironment, flags: versionFlag,
			run: func(ctx context.Context, s *session, args []string) error {
				if err := s.RemoveMember(ctx, args[0], args[1], args[2], s.version()); err != nil {
					return err
				}
				return s.say(done{true}, "%s is no member of %s, %s any more", args[2], args[0], args[1])
			},
		}.command(),
	}
}
