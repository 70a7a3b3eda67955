package caddymodule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// parseRequests parses "60/m", "60/m burst 20". Registries keep requests per minute, so that a rate per hour has to
// be a whole number per minute.
func parseRequests(args []string) (perMinute, burst int64, err error) {
	number, unit, ok := strings.Cut(args[0], "/")
	n, numErr := strconv.ParseInt(number, 10, 64)
	if !ok || numErr != nil || n < 1 || n > registry.MaxQuota {
		return 0, 0, fmt.Errorf("requests must be like 60/m, a whole number of at least 1 per s, m or h; not %q", args[0])
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
	case "d", "day", "month":
		return 0, 0, errors.New("this version does not enforce requests per day or month; leave the line out")
	default:
		return 0, 0, fmt.Errorf("requests must be per s, m or h, like 60/m; not %q", args[0])
	}
	switch rest := args[1:]; {
	case len(rest) == 0:
		return perMinute, burst, nil
	case len(rest) != 2 || rest[0] != "burst":
		return 0, 0, errors.New("after the rate there can only be: burst <n>")
	default:
		burst, err = strconv.ParseInt(rest[1], 10, 64)
		if err != nil || burst < 1 || burst > registry.MaxQuota {
			return 0, 0, fmt.Errorf("burst must be a whole number of at least 1, not %q", rest[1])
		}
		return perMinute, burst, nil
	}
}
