package quota_test

import (
	"fmt"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

func Example() {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	store := quota.NewLocal(quota.LocalOptions{Now: func() time.Time { return now }})

	rate, err := quota.NewRate(60, time.Minute, 2) // 60 requests per minute, at most 2 at once
	if err != nil {
		fmt.Println(err)
		return
	}
	acme := [16]byte{0x01, 0x90, 0xa0, 15: 0x01}
	limits := []quota.Limit{{Name: "requests", Key: quota.Key{Scope: quota.ScopeTenant, ID: acme}, Rate: rate}}
	statuses := make([]quota.Status, len(limits))

	fmt.Printf("RateLimit-Policy: %s\n", quota.AppendPolicy(nil, limits))
	for range 3 {
		allowed := store.Take(now, 1, limits, statuses)
		fmt.Printf("%v, RateLimit: %s\n", allowed, quota.AppendRateLimit(nil, limits, statuses))
	}
	result := quota.Enforce(limits, statuses)
	fmt.Printf("Retry-After: %s\n", quota.AppendRetryAfter(nil, quota.RetryAfter(statuses)))
	fmt.Printf("%s\n", result.AppendJSON(nil))

	// Output:
	// RateLimit-Policy: "requests";q=60;w=60
	// true, RateLimit: "requests";r=1;t=1
	// true, RateLimit: "requests";r=0;t=1
	// false, RateLimit: "requests";r=0;t=1
	// Retry-After: 1
	// {"allowed":false,"exceededQuota":"requests","currentUsage":2,"limit":2,"message":"Quota \"requests\" exceeded: 2 of 2 used; retry in 1 s."}
}
