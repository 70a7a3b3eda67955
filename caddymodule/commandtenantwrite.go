package caddymodule

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

func runTenantCreate(ctx context.Context, s *session, args []string) error {
	r, err := s.tenantRequest(&registry.Tenant{})
	if err != nil {
		return err
	}
	r.Slug, r.ID, r.Status = args[0], s.text("id"), s.text("status")
	if s.given("environment", "region", "domain") {
		e := adminapi.EnvironmentRequest{Slug: s.text("environment"), Domains: s.list("domain")}
		if e.Slug == "" {
			e.Slug = string(registry.EnvironmentProduction)
		}
		if region := s.text("region"); region != "" {
			e.Region = &region
		}
		r.Environments = []adminapi.EnvironmentRequest{e}
	}
	t, err := s.CreateTenant(ctx, *r, s.text("idempotency-key"))
	if err != nil {
		return err
	}
	return s.say(t, "created the tenant %s, %s", t.Slug, t.ID)
}

func runTenantUpdate(ctx context.Context, s *session, args []string) error {
	have, version := &registry.Tenant{}, s.version()
	if s.given("quota", "metadata", "allow-ip", "require-mfa", "require-sso") {
		// What is not named stays: so it is read first, and nobody else may change it meanwhile.
		var err error
		if have, err = s.GetTenant(ctx, args[0]); err != nil {
			return err
		}
		if version == 0 {
			version = have.Version
		}
	}
	r, err := s.tenantRequest(have)
	if err != nil {
		return err
	}
	if s.flag("no-policy") {
		if r.SecurityPolicy != nil {
			return usage("--no-policy excludes --allow-ip, --require-mfa and --require-sso")
		}
		r.SecurityPolicy = &registry.SecurityPolicy{}
	}
	if err := s.rename(&r.Slug, &r.KeepAlias, &r.AliasExpiresAt); err != nil {
		return err
	}
	t, err := s.UpdateTenant(ctx, args[0], version, *r)
	if err != nil {
		return err
	}
	return s.say(t, "the tenant %s has version %d", t.Slug, t.Version)
}

// tenantRequest makes a request of the flags that say how a tenant is; have is what is there.
func (s *session) tenantRequest(have *registry.Tenant) (r *adminapi.TenantRequest, err error) {
	r = &adminapi.TenantRequest{Name: s.text("name"), Plan: s.text("plan"), IsolationLevel: s.text("isolation")}
	if r.SubscriptionExpiresAt, err = s.instant("expires", true); err != nil {
		return nil, err
	}
	if r.Quotas, err = s.quotas(have.Quotas); err != nil {
		return nil, err
	}
	if r.Upstreams, err = s.upstreams(); err != nil {
		return nil, err
	}
	if r.Metadata, err = s.metadata(have.Metadata); err != nil {
		return nil, err
	}
	if s.given("allow-ip", "require-mfa", "require-sso") {
		p := registry.SecurityPolicy{}
		if have.SecurityPolicy != nil {
			p = *have.SecurityPolicy
		}
		if s.given("allow-ip") {
			p.AccessControl.IPWhitelist = s.list("allow-ip")
		}
		if s.given("require-mfa") {
			p.AccessControl.RequireMFA = s.flag("require-mfa")
		}
		if s.given("require-sso") {
			p.AccessControl.RequireSSO = s.flag("require-sso")
		}
		r.SecurityPolicy = &p
	}
	return r, nil
}

// rename reads the flags of a new slug.
func (s *session) rename(slug *string, keep *bool, until **adminapi.Instant) (err error) {
	*slug = s.text("slug")
	switch alias := s.text("keep-alias"); {
	case alias == "":
		return nil
	case *slug == "":
		return usage("--keep-alias belongs to --slug")
	case alias == "forever":
		*keep = true
		return nil
	}
	*keep = true
	*until, err = s.instant("keep-alias", false)
	return err
}

// actionTexts say what the actions of the state machine do.
var actionTexts = map[registry.Action]struct{ short, done string }{
	registry.ActionSuspend:   {"Suspends {one}: its traffic stops on every gateway within two polls", "suspended"},
	registry.ActionRestore:   {"Restores {one} that is suspended or archived", "restored"},
	registry.ActionArchive:   {"Archives {one}: its traffic stops for good, and its data stays", "archived"},
	registry.ActionActivate:  {"Activates {one} that was being provisioned or had failed", "activated"},
	registry.ActionFail:      {"Notes that provisioning {one}, or removing its data, did not work", "marked as failed"},
	registry.ActionProvision: {"Notes that a failed {noun} is being provisioned again", "marked as provisioning"},
	registry.ActionDestroy:   {"Notes that the data of an archived or failed {noun} is being removed", "marked as destroying"},
}

func actionShort(action registry.Action, article, noun string) string {
	return strings.NewReplacer("{one}", article+" "+noun, "{noun}", noun).Replace(actionTexts[action].short)
}

// transitionFlags adds the flags of a change of status.
func transitionFlags(fs *pflag.FlagSet) {
	fs.String("reason", "", "why, for people: the audit log and the record have it")
	forceFlag(fs)
	versionFlag(fs)
}

func tenantTransition(action registry.Action) *cobra.Command {
	return leaf{
		use: string(action) + " TENANT", short: actionShort(action, "a", "tenant"), args: cobra.ExactArgs(1), completes: []string{"tenant"},
		example: "  tenantgate tenant " + string(action) + " acme",
		flags:   transitionFlags,
		run: func(ctx context.Context, s *session, args []string) error {
			t, err := s.TransitionTenant(ctx, args[0], action, s.version(), s.transition())
			if err != nil {
				return err
			}
			return s.say(t, "%s the tenant %s", actionTexts[action].done, t.Slug)
		},
	}.command()
}

func (s *session) transition() adminapi.TransitionRequest {
	return adminapi.TransitionRequest{Reason: s.text("reason"), Force: s.text("force")}
}

func tenantAliases() *cobra.Command {
	return leaf{
		use: "aliases TENANT", short: "Lists former slugs that still lead to a tenant", args: cobra.ExactArgs(1), completes: []string{"tenant"},
		run: func(ctx context.Context, s *session, args []string) error {
			return printAliases(s, func() (*adminapi.List[registry.Alias], error) { return s.TenantAliases(ctx, args[0]) })
		},
	}.command()
}

func printAliases(s *session, fetch func() (*adminapi.List[registry.Alias], error)) error {
	l := listing[registry.Alias]{
		columns: []string{"SLUG", "SINCE", "UNTIL"},
		row:     func(a *registry.Alias) []any { return []any{a.Slug, a.CreatedAt, a.ExpiresAt} },
		page:    func(int, string) (*adminapi.List[registry.Alias], error) { return fetch() },
	}
	return l.print(s, 0, false)
}

func tenantUnalias() *cobra.Command {
	return leaf{
		use: "unalias TENANT SLUG", short: "Ends a former slug of a tenant", args: cobra.ExactArgs(2), completes: []string{"tenant"},
		run: func(ctx context.Context, s *session, args []string) error {
			if err := s.DeleteTenantAlias(ctx, args[0], args[1]); err != nil {
				return err
			}
			return s.say(done{true}, "%s leads to the tenant %s no more", args[1], args[0])
		},
	}.command()
}
