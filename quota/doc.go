// Package quota decides whether a request may pass the limits of its tenant, and says what is left.
//
// A [Limit] is a [Rate] (so many requests per period, so many at once), an [Allowance] (so many per calendar day or month)
// or a number of requests in flight, on a [Key] (whose it is) under a name (what the client sees). A [Store] keeps what has
// been spent and takes from all limits of a request together, or from none; [Local] is the store of a single process: one
// 64-bit word per key and kind, changed by compare-and-swap.
//
//	rate, err := quota.NewRate(60, time.Minute, 20) // 60 requests per minute, at most 20 at once
//	limits := []quota.Limit{{Name: "requests", Key: quota.Key{Scope: quota.ScopeTenant, ID: id}, Rate: rate}}
//	allowed := store.Take(now, 1, limits, statuses)
//
// What is used of allowances is loaded from a [UsageSource] before the first decision of a day, saved to a [UsageSink] every
// second, and told of at 80 % and 100 % ([Warning]). Several processes that share a source and a sink add up.
//
// The arithmetic of rates is the generic cell rate algorithm (GCRA, ITU-T I.371 annex A): pure functions in gcra.go, with
// the clock handed in. [AppendPolicy], [AppendRateLimit] and their neighbours write the response headers of
// draft-ietf-httpapi-ratelimit-headers, [EnforcementResult] the members of a refusal's JSON body.
//
// The package knows nothing of HTTP servers, of Caddy, or of the registry.
package quota
