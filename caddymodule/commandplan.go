package caddymodule

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// planCommands are the subcommands of plan.
func planCommands() []*cobra.Command {
	return []*cobra.Command{
		leaf{
			use: "list", short: "Lists plans by name", args: cobra.NoArgs,
			flags: func(fs *pflag.FlagSet) {
				fs.Bool("csv", false, "print CSV")
				limitFlag(fs)
			},
			run: func(ctx context.Context, s *session, _ []string) error {
				l := listing[registry.Plan]{
					columns: []string{"PLAN", "QUOTAS", "UPSTREAMS"},
					row:     func(p *registry.Plan) []any { return []any{p.Name, quotaText(p.Quotas), upstreamLine(p.Upstreams)} },
					page: func(limit int, cursor string) (*adminapi.List[registry.Plan], error) {
						return s.ListPlans(ctx, registry.Page{Limit: limit, Cursor: cursor})
					},
				}
				return l.print(s, s.number("limit"), s.flag("csv"))
			},
		}.command(),
		leaf{
			use: "show PLAN", short: "Shows a plan", args: cobra.ExactArgs(1), completes: []string{"plan"},
			run: func(ctx context.Context, s *session, args []string) error {
				p, err := s.GetPlan(ctx, args[0])
				if err != nil {
					return err
				}
				return s.show(p, func(w *table) {
					w.row("name", p.Name)
					w.row("quotas", quotaText(p.Quotas))
					w.row("upstreams", upstreamLine(p.Upstreams))
					w.row("version", p.Version)
					w.row("created", p.CreatedAt)
					w.row("updated", p.UpdatedAt)
				})
			},
		}.command(),
		leaf{
			use: "create PLAN", short: "Creates a plan", args: cobra.ExactArgs(1), creates: true,
			example: `  tenantgate plan create pro --quota apiRateLimit=600 --quota burst=50`,
			flags:   attributeFlags,
			run: func(ctx context.Context, s *session, args []string) error {
				r, err := s.planRequest(args[0], registry.Quotas{})
				if err != nil {
					return err
				}
				p, err := s.CreatePlan(ctx, *r)
				if err != nil {
					return err
				}
				return s.say(p, "created the plan %s", p.Name)
			},
		}.command(),
		leaf{
			use: "update PLAN", short: "Changes a plan, and so the limits of its tenants", args: cobra.ExactArgs(1), completes: []string{"plan"},
			flags: func(fs *pflag.FlagSet) { attributeFlags(fs); versionFlag(fs) },
			run:   runPlanUpdate,
		}.command(),
		leaf{
			use: "delete PLAN", short: "Removes a plan; one that tenants have needs --force with its name", args: cobra.ExactArgs(1), completes: []string{"plan"},
			flags: func(fs *pflag.FlagSet) { forceFlag(fs); versionFlag(fs) },
			run: func(ctx context.Context, s *session, args []string) error {
				force := s.text("force")
				if force != "" && force != args[0] {
					return badFlag("force", "must repeat %s", args[0])
				}
				if err := s.DeletePlan(ctx, args[0], s.version(), force != ""); err != nil {
					return err
				}
				return s.say(done{true}, "removed the plan %s", args[0])
			},
		}.command(),
	}
}

func runPlanUpdate(ctx context.Context, s *session, args []string) error {
	have, err := s.GetPlan(ctx, args[0]) // a plan that is not there is not made by a slip of the pen
	if err != nil {
		return err
	}
	r, err := s.planRequest(have.Name, have.Quotas)
	if err != nil {
		return err
	}
	version := s.version()
	if version == 0 {
		version = have.Version
	}
	p, err := s.PutPlan(ctx, *r, version)
	if err != nil {
		return err
	}
	return s.say(p, "the plan %s has version %d", p.Name, p.Version)
}

func (s *session) planRequest(name string, have registry.Quotas) (*adminapi.PlanRequest, error) {
	q, err := s.quotas(have)
	if err != nil {
		return nil, err
	}
	upstreams, err := s.upstreams()
	if err != nil {
		return nil, err
	}
	return &adminapi.PlanRequest{Name: name, Quotas: q, Upstreams: upstreams}, nil
}
