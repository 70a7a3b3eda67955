package caddymodule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

// parseRequests parses "60/m", "60/m burst 20". Registries keep requests per minute, so that a rate per hour has to
// be a whole number per minute.
func parseRequests(args []string) (perMinute, burst int64, err error) {
	number, unit, ok := strings.Cut(args[0], "/")
	n, numErr := strconv.ParseInt(number, 10, 64)
	if !ok || numErr != nil || n < 1 || n > registry.MaxQuota {
		return 0, 0, fmt.Errorf("requests must be like 60/m, a whole number of at least 1 per s, m, h, day or month; not %q", args[0])
	}
	switch unit {
	case "s":
		if n > registry.MaxQuota/60 {
			return 0, 0, errors.New("requests: too many per second")
		}
		perMinute, burst = n*60, n
	case "m":
		perMinute = n
	case "h":
		if n%60 != 0 {
			return 0, 0, errors.New("requests per hour must be a multiple of 60, because limits are kept per minute")
		}
		perMinute = n / 60
	default:
		return 0, 0, fmt.Errorf("requests must be per s, m, h, day or month, like 60/m; not %q", args[0])
	}
	burst, err = parseBurst(args, burst)
	if err != nil {
		return 0, 0, err
	}
	return perMinute, burst, nil
}

// parseBurst parses what follows a rate: nothing, or "burst 20".
func parseBurst(args []string, burst int64) (int64, error) {
	switch rest := args[1:]; {
	case len(rest) == 0:
		return burst, nil
	case len(rest) != 2 || rest[0] != "burst":
		return 0, errors.New("after the rate there can only be: burst <n>")
	default:
		burst, err := strconv.ParseInt(rest[1], 10, 64)
		if err != nil || burst < 1 || burst > registry.MaxQuota {
			return 0, fmt.Errorf("burst must be a whole number of at least 1, not %q", rest[1])
		}
		return burst, nil
	}
}

// parseAllowance parses "1000/day" or "10000/month"; ok is false for anything that is per something else.
func parseAllowance(args []string) (a quota.Allowance, ok bool, err error) {
	number, unit, _ := strings.Cut(args[0], "/")
	switch unit {
	case "d", "day":
		a.Period = quota.PeriodDay
	case "month":
		a.Period = quota.PeriodMonth
	default:
		return a, false, nil
	}
	if len(args) > 1 {
		return a, true, fmt.Errorf("nothing can follow requests per %v: what is not used when the %v ends is gone", a.Period, a.Period)
	}
	if a.Max, err = strconv.ParseInt(number, 10, 64); err != nil || a.Max < 1 || a.Max > registry.MaxQuota {
		return a, true, fmt.Errorf("requests must be like 1000/%v, a whole number from 1 to %d; not %q", a.Period, registry.MaxQuota, args[0])
	}
	return a, true, nil
}

// parseConcurrency parses the number of requests in flight.
func parseConcurrency(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > registry.MaxQuota {
		return 0, fmt.Errorf("concurrency must be a whole number from 1 to %d, not %q", registry.MaxQuota, text)
	}
	return n, nil
}

// checkCounts refuses numbers of requests per day and month, and in flight, that cannot be; 0 means none.
func checkCounts(perDay, perMonth, concurrency int64) error {
	for i, v := range [...]int64{perDay, perMonth, concurrency} {
		if v < 0 || v > registry.MaxQuota {
			name := [...]string{"requests_per_day", "requests_per_month", "concurrency"}[i]
			return fmt.Errorf("%s must be from 1 to %d, not %d", name, registry.MaxQuota, v)
		}
	}
	if perDay != 0 && perMonth != 0 && perDay > perMonth {
		return fmt.Errorf("requests_per_day (%d) can never be reached with fewer requests_per_month (%d)", perDay, perMonth)
	}
	return nil
}

// quotas returns the quotas of the plan.
func (p *Plan) quotas() *registry.Quotas {
	return &registry.Quotas{
		APIRateLimit: p.RequestsPerMinute, Burst: p.Burst, MaxAPICallsPerDay: p.RequestsPerDay,
		MaxAPICallsPerMonth: p.RequestsPerMonth, MaxConcurrentRequests: p.Concurrency,
	}
}

// requests reads the option requests, once for each of rate, day and month.
func (p *Plan) requests(args []string) error {
	a, ok, err := parseAllowance(args)
	if err != nil {
		return err
	}
	if !ok {
		perMinute, burst, err := parseRequests(args)
		if err != nil {
			return err
		}
		if p.RequestsPerMinute != 0 {
			return errors.New("requests per s, m or h is given twice")
		}
		p.RequestsPerMinute, p.Burst = perMinute, burst
		return nil
	}
	to := &p.RequestsPerDay
	if a.Period == quota.PeriodMonth {
		to = &p.RequestsPerMonth
	}
	if *to != 0 {
		return fmt.Errorf("requests per %v is given twice", a.Period)
	}
	*to = a.Max
	return nil
}
