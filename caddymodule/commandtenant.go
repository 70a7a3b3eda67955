package caddymodule

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// tenantCommands are the subcommands of tenant that go through the admin interface.
func tenantCommands() []*cobra.Command {
	list := []*cobra.Command{
		leaf{
			use: "list", short: "Lists tenants by slug", args: cobra.NoArgs, run: runTenantList,
			long: `
With --csv for a spreadsheet. All pages are fetched, unless --limit says how many.
`,
			example: `  tenantgate tenant list --status suspended
  tenantgate tenant list --plan pro --csv > pro.csv`,
			flags: func(fs *pflag.FlagSet) {
				fs.String("status", "", "only of this status: provisioning, active, suspended, archived, failed or destroying")
				fs.String("plan", "", "only of this plan")
				fs.String("region", "", "only with an environment in this region")
				fs.String("prefix", "", "only slugs that begin like this")
				fs.Bool("csv", false, "print CSV")
				limitFlag(fs)
			},
		}.command(),
		leaf{
			use: "show TENANT", short: "Shows a tenant and its environments", args: cobra.ExactArgs(1),
			completes: []string{"tenant"}, run: runTenantShow,
		}.command(),
		leaf{
			use: "create SLUG", short: "Creates a tenant with its default environment", args: cobra.ExactArgs(1), run: runTenantCreate, creates: true,
			long: `
The environment is called production, unless --environment gives another slug. A
domain counts as verified: who creates a tenant with it vouches for it.
`,
			example: `  tenantgate tenant create acme --name 'Acme Corp' --plan pro --upstream 10.0.0.7:8080`,
			flags: func(fs *pflag.FlagSet) {
				tenantFlags(fs)
				creationFlag(fs)
				fs.String("id", "", "id, a UUID (default: a new one)")
				fs.String("status", "", "active or provisioning (default active)")
				fs.String("environment", "", "slug of the default environment (default production)")
				fs.String("region", "", "region of the default environment")
				fs.StringArray("domain", nil, "host name that leads to the default environment; repeatable")
			},
		}.command(),
		leaf{
			use: "update TENANT", short: "Changes a tenant", args: cobra.ExactArgs(1), completes: []string{"tenant"}, run: runTenantUpdate,
			long: `
Only what a flag gives is changed; of quotas and metadata, only those that are named.
`,
			example: `  tenantgate tenant update acme --plan enterprise --quota apiRateLimit=6000 --quota burst=
  tenantgate tenant update acme --slug acme-corp --keep-alias 720h`,
			flags: func(fs *pflag.FlagSet) {
				tenantFlags(fs)
				renameFlags(fs)
				versionFlag(fs)
				fs.Bool("no-policy", false, "remove the demands on those who use the tenant")
			},
		}.command(),
		leaf{
			use: "delete TENANT", short: "Removes an archived or failed tenant with all that belongs to it", args: cobra.ExactArgs(1),
			completes: []string{"tenant"},
			long: `
--force has to repeat the slug. Data planes are not touched, and the audit log stays.
`,
			example: `  tenantgate tenant delete acme --force acme`,
			flags:   func(fs *pflag.FlagSet) { forceFlag(fs); versionFlag(fs) },
			run: func(ctx context.Context, s *session, args []string) error {
				if err := s.DeleteTenant(ctx, args[0], s.version(), s.text("force")); err != nil {
					return err
				}
				return s.say(done{true}, "removed the tenant %s", args[0])
			},
		}.command(),
		tenantAliases(), tenantUnalias(), usageCommand(), resolveCommand(), auditCommand(), cacheCommand(), purgeCommand(),
	}
	for _, a := range []registry.Action{
		registry.ActionSuspend, registry.ActionRestore, registry.ActionArchive, registry.ActionActivate, registry.ActionFail,
		registry.ActionProvision, registry.ActionDestroy,
	} {
		list = append(list, tenantTransition(a))
	}
	return list
}

// tenantFlags adds the flags that say how a tenant is.
func tenantFlags(fs *pflag.FlagSet) {
	attributeFlags(fs)
	metadataFlags(fs)
	fs.String("name", "", "display name")
	fs.String("plan", "", "name of the plan")
	fs.String("isolation", "", "shared_schema, isolated_schema or isolated_db")
	fs.String("expires", "", `end of the subscription, such as 2027-01-31; "never" removes it`)
	fs.StringArray("allow-ip", nil, "address or network that may reach the tenant, such as 10.0.0.0/8; repeatable")
	fs.Bool("require-mfa", false, "admit only who signed in with more than one factor")
	fs.Bool("require-sso", false, "admit only who signed in with the tenant's identity provider")
}

func limitFlag(fs *pflag.FlagSet) { fs.Int("limit", 0, "how many at most (default: all)") }

func forceFlag(fs *pflag.FlagSet) {
	fs.String("force", "", "the slug once more, for what is protected")
}

// renameFlags adds the flags of a new slug.
func renameFlags(fs *pflag.FlagSet) {
	fs.String("slug", "", "new slug")
	fs.String("keep-alias", "", `let the old slug lead here still: for a duration such as 720h, until a time, or "forever"`)
}

func runTenantList(ctx context.Context, s *session, _ []string) error {
	l := listing[registry.Tenant]{
		columns: []string{"SLUG", "NAME", "PLAN", "STATUS", "ID", "CREATED"},
		row: func(t *registry.Tenant) []any {
			return []any{t.Slug, t.Name, t.Plan, t.Status, t.ID, t.CreatedAt}
		},
		page: func(limit int, cursor string) (*adminapi.List[registry.Tenant], error) {
			return s.ListTenants(ctx, registry.TenantFilter{
				Status: registry.Status(s.text("status")), Plan: s.text("plan"), Region: s.text("region"), Prefix: s.text("prefix"),
				Page: registry.Page{Limit: limit, Cursor: cursor},
			})
		},
	}
	return l.print(s, s.number("limit"), s.flag("csv"))
}

// tenantDetails is what show prints as JSON.
type tenantDetails struct {
	*registry.Tenant
	Environments []registry.Environment `json:"environments"`
	Aliases      []registry.Alias       `json:"aliases"`
}

func runTenantShow(ctx context.Context, s *session, args []string) error {
	t, err := s.GetTenant(ctx, args[0])
	if err != nil {
		return err
	}
	d := tenantDetails{Tenant: t, Environments: []registry.Environment{}}
	for cursor := ""; ; {
		page, err := s.ListEnvironments(ctx, t.ID.String(), registry.EnvironmentFilter{Page: registry.Page{Limit: adminapi.MaxPage, Cursor: cursor}})
		if err != nil {
			return err
		}
		d.Environments = append(d.Environments, page.Items...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	aliases, err := s.TenantAliases(ctx, t.ID.String())
	if err != nil {
		return err
	}
	d.Aliases = aliases.Items
	if s.json {
		return s.printJSON(d)
	}
	if err := s.show(t, func(w *table) { tenantPairs(w, t, d.Aliases) }); err != nil {
		return err
	}
	_, _ = s.out.Write([]byte("\n")) // the next line has the error
	w := newTable(s.out)
	environmentRows(w, d.Environments)
	return w.w.Flush()
}

// tenantPairs prints a tenant for people.
func tenantPairs(w *table, t *registry.Tenant, aliases []registry.Alias) {
	w.row("slug", t.Slug)
	w.row("id", t.ID)
	w.row("name", t.Name)
	w.row("plan", t.Plan)
	w.row("status", statusText(t.Status, t.StatusReason))
	w.row("isolation", t.Isolation)
	w.row("subscription ends", t.SubscriptionExpiresAt)
	w.row("quotas", quotaText(t.Quotas))
	w.row("upstreams", upstreamLine(t.Upstreams))
	w.row("metadata", metadataLine(t.Metadata))
	w.row("policy", policyLine(t.SecurityPolicy))
	if len(aliases) > 0 {
		w.row("aliases", aliasLine(aliases))
	}
	w.row("version", t.Version)
	w.row("created", t.CreatedAt)
	w.row("updated", t.UpdatedAt)
}

func statusText(status registry.Status, reason string) string {
	if reason == "" {
		return string(status)
	}
	return string(status) + " (" + reason + ")"
}

// policyLine is a security policy on one line.
func policyLine(p *registry.SecurityPolicy) string {
	if p == nil {
		return ""
	}
	var parts []string
	a := &p.AccessControl
	if len(a.IPWhitelist) > 0 {
		parts = append(parts, "only from "+strings.Join(a.IPWhitelist, " "))
	}
	if a.RequireMFA {
		parts = append(parts, "MFA")
	}
	if a.RequireSSO {
		parts = append(parts, "SSO")
	}
	return strings.Join(parts, ", ")
}

func aliasLine(aliases []registry.Alias) string {
	parts := make([]string, len(aliases))
	for i, a := range aliases {
		if parts[i] = a.Slug; !a.ExpiresAt.IsZero() {
			parts[i] += " until " + line(a.ExpiresAt)
		}
	}
	return strings.Join(parts, ", ")
}
