package caddymodule

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	adminclient "github.com/tenantgate/tenantgate/adminapi/client"
	"github.com/tenantgate/tenantgate/registry"
)

// usageCommands are the subcommands of usage.
func usageCommands() []*cobra.Command {
	return []*cobra.Command{
		leaf{
			use: "list [TENANT]", short: "Lists what was used by month or day, for billing", args: cobra.MaximumNArgs(1), completes: []string{"tenant"},
			long: `
Requests that were let through, in UTC: a row for each tenant as a whole, each of its
environments, and each API key with an allowance of its own. Gateways write what they
have counted once a second. Days are put together to months after 92 days.
`,
			example: `  tenantgate usage list --since 2027-01-01 --until 2027-02-01 --csv > january.csv
  tenantgate usage list acme --period day --since 168h`,
			flags: func(fs *pflag.FlagSet) {
				fs.String("period", "", "month or day (default month)")
				fs.String("since", "", "periods that begin from this time on, such as 2027-01-31, or a duration ago such as 24h")
				fs.String("until", "", "periods that begin before this time, or a duration ago")
				fs.Bool("csv", false, "print CSV, also with the ids")
				limitFlag(fs)
			},
			run: runUsageList,
		}.command(),
		resourceCommand("report TENANT METRIC USED", "Records what an application uses of a quota that it owns", `
It is recorded also where the quota is exceeded; the exit code is then 6.
`, `  tenantgate usage report acme maxUsers 7 --environment production`, (*adminclient.Client).ReportUsage),
		resourceCommand("check TENANT METRIC MORE", "Says whether an application may use so much more of a quota that it owns", `
Nothing is recorded. Where the quota would be exceeded, the exit code is 6.
`, `  tenantgate usage check acme maxStorageBytes 1048576`, (*adminclient.Client).CheckUsage),
	}
}

func runUsageList(ctx context.Context, s *session, args []string) error {
	f := adminclient.UsageFilter{Period: registry.UsagePeriod(s.text("period"))}
	if len(args) > 0 {
		f.Tenant = args[0]
	}
	var err error
	if f.From, err = s.past("since"); err != nil {
		return err
	}
	if f.To, err = s.past("until"); err != nil {
		return err
	}
	l := listing[registry.UsageRow]{
		columns: []string{"START", "TENANT", "ENVIRONMENT", "API KEY", "METRIC", "USED"},
		row: func(r *registry.UsageRow) []any {
			return []any{r.Start.Format(time.DateOnly), r.TenantSlug, r.EnvironmentSlug, idText(r.APIKey), r.Metric, r.Used}
		},
		page: func(limit int, cursor string) (*adminapi.List[registry.UsageRow], error) {
			f.Page = registry.Page{Limit: limit, Cursor: cursor}
			return s.ListUsage(ctx, f)
		},
	}
	if s.flag("csv") {
		l.columns, l.row = registry.UsageCSVHeader, func(r *registry.UsageRow) []any { return anys(r.CSV()) }
	}
	return l.print(s, s.number("limit"), s.flag("csv"))
}

// resourceCommand makes a command about a quota that an application owns.
func resourceCommand(use, short, long, example string,
	ask func(c *adminclient.Client, ctx context.Context, tenant, environment, metric string, used int64) (*registry.QuotaResult, error),
) *cobra.Command {
	return leaf{
		use: use, short: short, args: cobra.ExactArgs(3), completes: []string{"tenant"},
		long: long + "METRIC is one of\n" + strings.Join(registry.ResourceMetrics(), ", ") + ".\n", example: example,
		flags: func(fs *pflag.FlagSet) {
			fs.String("environment", "", "the environment that uses it (default: the tenant as a whole)")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			used, err := strconv.ParseInt(args[2], 10, 64)
			if err != nil {
				return usage("%q is not a whole number", args[2])
			}
			result, err := ask(s.Client, ctx, args[0], s.text("environment"), args[1], used)
			if err != nil {
				return err
			}
			if err := s.show(result, func(w *table) { resultPairs(w, result) }); err != nil {
				return err
			}
			if !result.Allowed {
				return errQuiet(codeRefused)
			}
			return nil
		},
	}.command()
}

func resultPairs(w *table, r *registry.QuotaResult) {
	if r.Allowed {
		w.row("allowed", "yes")
	} else {
		w.row("allowed", "no: "+r.Message)
		w.row("exceeded quota", r.ExceededQuota)
	}
	w.row("current usage", r.CurrentUsage)
	limit := any(r.Limit)
	if r.Limit == 0 {
		limit = "none"
	}
	w.row("limit", limit)
}
