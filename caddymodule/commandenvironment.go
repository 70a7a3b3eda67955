package caddymodule

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// ofEnvironment is what the arguments of most commands are, for shell completion.
var ofEnvironment = []string{"tenant", "environment"}

// environmentCommands are the subcommands of environment.
func environmentCommands() []*cobra.Command {
	list := []*cobra.Command{
		leaf{
			use: "list TENANT", short: "Lists the environments of a tenant by slug", args: cobra.ExactArgs(1), completes: ofEnvironment[:1], run: runEnvironmentList,
			flags: func(fs *pflag.FlagSet) {
				fs.String("status", "", "only of this status: provisioning, active, suspended, archived or failed")
				fs.String("type", "", "only of this type")
				fs.String("region", "", "only in this region")
				fs.Bool("csv", false, "print CSV")
				limitFlag(fs)
			},
		}.command(),
		leaf{
			use: "show TENANT ENVIRONMENT", short: "Shows an environment", args: cobra.ExactArgs(2), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				e, err := s.GetEnvironment(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return s.show(e, func(w *table) { environmentPairs(w, e) })
			},
		}.command(),
		leaf{
			use: "create TENANT SLUG", short: "Creates an environment of a tenant", args: cobra.ExactArgs(2), completes: ofEnvironment[:1], run: runEnvironmentCreate,
			example: `  tenantgate environment create acme staging --type staging --upstream 10.0.0.8:8080`,
			flags: func(fs *pflag.FlagSet) {
				environmentFlags(fs)
				creationFlag(fs)
				fs.String("id", "", "id, a UUID (default: a new one)")
				fs.String("status", "", "active or provisioning (default active)")
				fs.Bool("default", false, "make it the tenant's default environment")
				fs.StringArray("domain", nil, "host name that leads here and counts as verified; repeatable")
			},
		}.command(),
		leaf{
			use: "update TENANT ENVIRONMENT", short: "Changes an environment", args: cobra.ExactArgs(2), completes: ofEnvironment, run: runEnvironmentUpdate,
			long: `
Only what a flag gives is changed; of quotas and metadata, only those that are named.
`,
			example: `  tenantgate environment update acme staging --upstream 10.0.0.9:8080`,
			flags:   func(fs *pflag.FlagSet) { environmentFlags(fs); renameFlags(fs); versionFlag(fs) },
		}.command(),
		leaf{
			use: "default TENANT ENVIRONMENT", short: "Makes an environment its tenant's default", args: cobra.ExactArgs(2), completes: ofEnvironment,
			flags: versionFlag,
			run: func(ctx context.Context, s *session, args []string) error {
				e, err := s.MakeDefault(ctx, args[0], args[1], s.version())
				if err != nil {
					return err
				}
				return s.say(e, "%s is the default environment of %s", e.Slug, args[0])
			},
		}.command(),
		leaf{
			use: "delete TENANT ENVIRONMENT", short: "Removes an archived or failed environment with all that belongs to it",
			args: cobra.ExactArgs(2), completes: ofEnvironment,
			long: `
--force has to repeat the slug of one of type production or default. A tenant's default
environment is never removed: make another one the default first.
`,
			flags: func(fs *pflag.FlagSet) { forceFlag(fs); versionFlag(fs) },
			run: func(ctx context.Context, s *session, args []string) error {
				if err := s.DeleteEnvironment(ctx, args[0], args[1], s.version(), s.text("force")); err != nil {
					return err
				}
				return s.say(done{true}, "removed the environment %s of %s", args[1], args[0])
			},
		}.command(),
		leaf{
			use: "aliases TENANT ENVIRONMENT", short: "Lists former slugs that still lead to an environment", args: cobra.ExactArgs(2), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				return printAliases(s, func() (*adminapi.List[registry.Alias], error) { return s.EnvironmentAliases(ctx, args[0], args[1]) })
			},
		}.command(),
		leaf{
			use: "unalias TENANT ENVIRONMENT SLUG", short: "Ends a former slug of an environment", args: cobra.ExactArgs(3), completes: ofEnvironment,
			run: func(ctx context.Context, s *session, args []string) error {
				if err := s.DeleteEnvironmentAlias(ctx, args[0], args[1], args[2]); err != nil {
					return err
				}
				return s.say(done{true}, "%s leads to the environment %s of %s no more", args[2], args[1], args[0])
			},
		}.command(),
	}
	for _, a := range []registry.Action{
		registry.ActionSuspend, registry.ActionRestore, registry.ActionArchive, registry.ActionActivate, registry.ActionFail, registry.ActionProvision,
	} {
		list = append(list, environmentTransition(a))
	}
	return list
}

// environmentFlags adds the flags that say how an environment is.
func environmentFlags(fs *pflag.FlagSet) {
	attributeFlags(fs)
	metadataFlags(fs)
	fs.String("name", "", "display name")
	fs.String("type", "", "default, development, test, sandbox, preview, trial, staging or production")
	fs.String("region", "", "where it runs")
}

func environmentTransition(action registry.Action) *cobra.Command {
	return leaf{
		use: string(action) + " TENANT ENVIRONMENT", short: actionShort(action, "an", "environment"), args: cobra.ExactArgs(2), completes: ofEnvironment,
		example: "  tenantgate environment " + string(action) + " acme staging",
		flags:   transitionFlags,
		run: func(ctx context.Context, s *session, args []string) error {
			e, err := s.TransitionEnvironment(ctx, args[0], args[1], action, s.version(), s.transition())
			if err != nil {
				return err
			}
			return s.say(e, "%s the environment %s of %s", actionTexts[action].done, e.Slug, args[0])
		},
	}.command()
}

var environmentColumns = []string{"ENVIRONMENT", "TYPE", "DEFAULT", "STATUS", "REGION", "UPSTREAMS", "ID"}

func environmentRow(e *registry.Environment) []any {
	return []any{e.Slug, e.Type, e.Default, e.Status, e.Region, upstreamLine(e.Upstreams), e.ID}
}

// environmentRows prints environments for people.
func environmentRows(w *table, list []registry.Environment) {
	w.row(anys(environmentColumns)...)
	for i := range list {
		w.row(environmentRow(&list[i])...)
	}
}

func runEnvironmentList(ctx context.Context, s *session, args []string) error {
	l := listing[registry.Environment]{
		columns: environmentColumns, row: environmentRow,
		page: func(limit int, cursor string) (*adminapi.List[registry.Environment], error) {
			return s.ListEnvironments(ctx, args[0], registry.EnvironmentFilter{
				Status: registry.Status(s.text("status")), Type: registry.EnvironmentType(s.text("type")), Region: s.text("region"),
				Page: registry.Page{Limit: limit, Cursor: cursor},
			})
		},
	}
	return l.print(s, s.number("limit"), s.flag("csv"))
}

// environmentPairs prints an environment for people.
func environmentPairs(w *table, e *registry.Environment) {
	w.row("slug", e.Slug)
	w.row("id", e.ID)
	w.row("tenant", e.TenantID)
	w.row("name", e.Name)
	w.row("type", e.Type)
	w.row("default", e.Default)
	w.row("status", statusText(e.Status, e.StatusReason))
	w.row("region", e.Region)
	w.row("quotas", quotaText(e.Quotas))
	w.row("upstreams", upstreamLine(e.Upstreams))
	w.row("metadata", metadataLine(e.Metadata))
	if d := e.Database; d != nil {
		w.row("database", d.Driver+" "+d.Name)
		w.row("database at", d.URL)
	}
	w.row("version", e.Version)
	w.row("created", e.CreatedAt)
	w.row("updated", e.UpdatedAt)
}

func runEnvironmentCreate(ctx context.Context, s *session, args []string) error {
	r, err := s.environmentRequest(&registry.Environment{})
	if err != nil {
		return err
	}
	r.Slug, r.ID, r.Status, r.Domains = args[1], s.text("id"), s.text("status"), s.list("domain")
	if s.given("default") {
		yes := s.flag("default")
		r.Default = &yes
	}
	e, err := s.CreateEnvironment(ctx, args[0], *r, s.text("idempotency-key"))
	if err != nil {
		return err
	}
	return s.say(e, "created the environment %s of %s, %s", e.Slug, args[0], e.ID)
}

func runEnvironmentUpdate(ctx context.Context, s *session, args []string) error {
	have, version := &registry.Environment{}, s.version()
	if s.given("quota", "metadata") { // what is not named stays; see runTenantUpdate
		var err error
		if have, err = s.GetEnvironment(ctx, args[0], args[1]); err != nil {
			return err
		}
		if version == 0 {
			version = have.Version
		}
	}
	r, err := s.environmentRequest(have)
	if err != nil {
		return err
	}
	if err := s.rename(&r.Slug, &r.KeepAlias, &r.AliasExpiresAt); err != nil {
		return err
	}
	e, err := s.UpdateEnvironment(ctx, args[0], args[1], version, *r)
	if err != nil {
		return err
	}
	return s.say(e, "the environment %s of %s has version %d", e.Slug, args[0], e.Version)
}

// environmentRequest makes a request of the flags that say how an environment is; have is what is there.
func (s *session) environmentRequest(have *registry.Environment) (r *adminapi.EnvironmentRequest, err error) {
	r = &adminapi.EnvironmentRequest{Name: s.text("name"), Type: s.text("type")}
	if s.given("region") {
		region := s.text("region")
		r.Region = &region
	}
	if r.Quotas, err = s.quotas(have.Quotas); err != nil {
		return nil, err
	}
	if r.Upstreams, err = s.upstreams(); err != nil {
		return nil, err
	}
	r.Metadata, err = s.metadata(have.Metadata)
	return r, err
}
