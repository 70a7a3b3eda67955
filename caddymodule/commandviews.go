package caddymodule

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	adminclient "github.com/tenantgate/tenantgate/adminapi/client"
	"github.com/tenantgate/tenantgate/registry"
)

func usageCommand() *cobra.Command {
	return leaf{
		use: "usage TENANT", short: "Shows the limits of a tenant and what is spent of them", args: cobra.ExactArgs(1), completes: []string{"tenant"},
		long: `
The limits of the tenant count across its environments; those of an environment come
on top. With --registry only the limits are known.
`,
		run: func(ctx context.Context, s *session, args []string) error {
			u, err := s.Usage(ctx, args[0])
			if err != nil {
				return err
			}
			return s.show(u, func(w *table) {
				w.row("OF", "LIMIT", "VALUE", "BURST", "USED", "REMAINING", "RESETS IN")
				for _, l := range u.Limits {
					usageRow(w, u.Slug, &l)
				}
				for _, e := range u.Environments {
					for _, l := range e.Limits {
						usageRow(w, u.Slug+" "+e.Slug, &l)
					}
				}
			})
		},
	}.command()
}

func usageRow(w *table, of string, l *adminapi.LimitUsage) {
	known := func(n *int64) any {
		if n == nil {
			return ""
		}
		return *n
	}
	burst, resets := any(""), ""
	if l.Burst > 0 {
		burst = l.Burst
	}
	if l.ResetSeconds != nil {
		resets = (time.Duration(*l.ResetSeconds) * time.Second).String()
	}
	w.row(of, l.Name, l.Limit, burst, known(l.Used), known(l.Remaining), resets)
}

func auditCommand() *cobra.Command {
	return leaf{
		use: "audit [TENANT]", short: "Lists the audit log, the newest first", args: cobra.MaximumNArgs(1), completes: []string{"tenant"},
		long: `
What is gone is found by its id.
`,
		example: `  tenantgate tenant audit acme --since 24h
  tenantgate tenant audit --action organization.suspend --by alice`,
		flags: func(fs *pflag.FlagSet) {
			fs.String("environment", "", "only of this environment of the tenant")
			fs.String("by", "", "only by this actor")
			fs.String("action", "", `only this action, or all that begin like "organization."`)
			fs.String("since", "", "from this time on, such as 2027-01-31, or a duration ago such as 24h")
			fs.String("until", "", "before this time, or a duration ago")
			fs.Bool("csv", false, "print CSV")
			limitFlag(fs)
		},
		run: runAudit,
	}.command()
}

func runAudit(ctx context.Context, s *session, args []string) error {
	f := adminclient.AuditFilter{Environment: s.text("environment"), Actor: s.text("by"), Action: s.text("action")}
	if len(args) > 0 {
		f.Tenant = args[0]
	}
	var err error
	if f.Since, err = s.past("since"); err != nil {
		return err
	}
	if f.Until, err = s.past("until"); err != nil {
		return err
	}
	l := listing[registry.AuditEntry]{
		columns: []string{"TIME", "ACTOR", "ACTION", "SUBJECT", "TENANT", "DETAIL"},
		row: func(e *registry.AuditEntry) []any {
			return []any{e.At, e.Actor, e.Action, e.Subject, idText(e.Tenant), string(e.Detail)}
		},
		page: func(limit int, cursor string) (*adminapi.List[registry.AuditEntry], error) {
			f.Page = registry.Page{Limit: limit, Cursor: cursor}
			return s.ListAudit(ctx, f)
		},
	}
	return l.print(s, s.number("limit"), s.flag("csv"))
}

func cacheCommand() *cobra.Command {
	return leaf{
		use: "cache", short: "Shows the counters of the gateway's cache", args: cobra.NoArgs,
		run: func(ctx context.Context, s *session, _ []string) error {
			c, err := s.Cache(ctx)
			if err != nil {
				return err
			}
			return s.show(c, func(w *table) {
				w.row("entries", fmt.Sprintf("%d of %d", c.Entries, c.Size))
				w.row("unknown names", fmt.Sprintf("%d of %d", c.NegativeEntries, c.NegativeSize))
				w.row("hit rate", fmt.Sprintf("%.1f %%", 100*c.HitRate))
				w.row("hits", c.Hits)
				w.row("stale hits", c.StaleHits)
				w.row("unknown hits", c.NegativeHits)
				w.row("misses", c.Misses)
				w.row("loads", c.Loads)
				w.row("load errors", c.LoadErrors)
				w.row("evictions", c.Evictions)
				w.row("invalidations", c.Invalidations)
				w.row("last poll", c.LastPoll)
			})
		},
	}.command()
}

func purgeCommand() *cobra.Command {
	return leaf{
		use: "purge {TENANT | --all}", short: "Drops one tenant from the gateway's cache, or everything", args: cobra.MaximumNArgs(1), completes: []string{"tenant"},
		flags: func(fs *pflag.FlagSet) { fs.Bool("all", false, "drop everything") },
		run: func(ctx context.Context, s *session, args []string) error {
			if s.flag("all") == (len(args) == 1) {
				return usage("name a tenant, or give --all")
			}
			if s.flag("all") {
				if err := s.Purge(ctx, ""); err != nil {
					return err
				}
				return s.say(done{true}, "dropped everything from the cache")
			}
			if err := s.Purge(ctx, args[0]); err != nil {
				return err
			}
			return s.say(done{true}, "dropped the tenant %s from the cache", args[0])
		},
	}.command()
}
