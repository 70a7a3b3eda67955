package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("tenant_quota", parseTenantQuota)
	// Right after tenant, which takes its place before header in an init of a file that comes before this one; Caddy orders
	// only by its own directives. A golden test holds the order.
	httpcaddyfile.RegisterDirectiveOrder("tenant_quota", httpcaddyfile.Before, "header")
}

// tenantQuotaCount is the key under which the number of directives without a name is kept while a Caddyfile is read.
const tenantQuotaCount = "tenantgate.tenant_quota"

// parseTenantQuota parses the directive tenant_quota. Syntax:
//
//	tenant_quota [<matcher>] [<name>] {
//		requests    <n>/s|m|h [burst <n>]
//		requests    <n>/day|month
//		concurrency <n>
//		cost        <n>
//		key         <placeholder>
//		shadow
//	}
//
// requests may be repeated, once for each of rate, day and month. A directive without a name is called route-1, route-2, …
// by its place in the Caddyfile, and starts anew when that changes.
func parseTenantQuota(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	at := *h.Dispenser
	q := new(TenantQuota)
	if h.NextArg() {
		q.Name = h.Val()
		if !validName(q.Name) {
			return nil, h.Errf("name %q: %s", q.Name, wantName)
		}
	}
	if h.NextArg() {
		return nil, h.ArgErr()
	}
	given := map[string]bool{}
	for nesting := h.Nesting(); h.NextBlock(nesting); {
		option := h.Val()
		if given[option] && option != "requests" {
			return nil, h.Errf("%s is given twice", option)
		}
		given[option] = true
		if err := q.option(option, h.RemainingArgs()); err != nil {
			return nil, h.WrapErr(err)
		}
	}
	if q.Name == "" {
		n, _ := h.State[tenantQuotaCount].(int)
		h.State[tenantQuotaCount] = n + 1
		q.Name = defaultQuotaName + "-" + strconv.Itoa(n+1)
	}
	check := *q
	if err := check.build(); err != nil {
		return nil, at.WrapErr(err)
	}
	return q, nil
}

func (q *TenantQuota) option(option string, args []string) error {
	if !slices.Contains([]string{"requests", "concurrency", "cost", "key", "shadow"}, option) {
		return fmt.Errorf("unknown option %q; there are requests, concurrency, cost, key and shadow", option)
	}
	want := map[string]int{"requests": len(args), "concurrency": 1, "cost": 1, "key": 1}[option]
	if len(args) != want || option == "requests" && want == 0 {
		return fmt.Errorf("wrong number of arguments after %s", option)
	}
	var err error
	switch option {
	case "requests":
		return q.requests(args)
	case "concurrency":
		q.Concurrency, err = parseConcurrency(args[0])
	case "cost":
		if q.Cost, err = strconv.ParseInt(args[0], 10, 64); err != nil || q.Cost < 1 || q.Cost > registry.MaxQuota {
			err = fmt.Errorf("cost must be a whole number from 1 to %d, not %q", registry.MaxQuota, args[0])
		}
	case "key":
		if q.Key = args[0]; !strings.Contains(q.Key, "{") {
			err = fmt.Errorf("key %q holds no placeholder, so that it is the same for all requests", q.Key)
		}
	case "shadow":
		q.Shadow = true
	}
	return err
}

// requests reads the option requests. Unlike those of a plan, its rates may be per second and hour as they are.
func (q *TenantQuota) requests(args []string) error {
	a, ok, err := parseAllowance(args)
	if err != nil {
		return err
	}
	if ok {
		to := &q.RequestsPerDay
		if a.Period == quota.PeriodMonth {
			to = &q.RequestsPerMonth
		}
		if *to != 0 {
			return fmt.Errorf("requests per %v is given twice", a.Period)
		}
		*to = a.Max
		return nil
	}
	if q.Requests != 0 {
		return errors.New("requests per s, m or h is given twice")
	}
	number, unit, _ := strings.Cut(args[0], "/")
	q.Requests, err = strconv.ParseInt(number, 10, 64)
	period := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || q.Requests < 1 || q.Requests > registry.MaxQuota || period == 0 {
		return fmt.Errorf("requests must be like 10/s, a whole number of at least 1 per s, m, h, day or month; not %q", args[0])
	}
	q.Period = caddy.Duration(period)
	if q.Burst, err = parseBurst(args, 0); err != nil {
		return err
	}
	_, err = quota.NewRate(q.Requests, period, q.Burst)
	return err
}
