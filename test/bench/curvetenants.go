package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
)

// curveSizes are the numbers of tenants of scenario tenants, as far as -tenants goes.
var curveSizes = []int{10, 1_000, 100_000, 1_000_000}

// sizesUpTo returns the sizes of the curve that are at most n, and n.
func sizesUpTo(n int) []int {
	sizes := slices.DeleteFunc(slices.Clone(curveSizes), func(size int) bool { return size >= n })
	return append(sizes, n)
}

// tenantsCurve compares gateways on registries of 10 to a million tenants. All tenants are in the cache, and are asked for
// at random: each alike, or few of them most of the time. The last two lines show a cache that is too small for them.
func tenantsCurve(ctx context.Context, b *bench) error {
	sizes := sizesUpTo(b.Tenants)
	if err := enoughMemory(b.Tenants); err != nil {
		return err
	}
	memory := []string{"GOGC=" + b.CurveGOGC, "GOMEMLIMIT=" + b.CurveLimit}
	gateways := make([]*process, len(sizes))
	for i, n := range sizes {
		var err error
		if gateways[i], err = b.warmGateway(ctx, fmt.Sprintf("gateway-%d", n), n, max(cacheSize, 2*n), n, memory); err != nil {
			return err
		}
	}
	distributions := []distribution{
		{"uniform", "uniform", uniform}, {fmt.Sprintf("Zipf %.1f", zipfExponent), "zipf", zipf}, {"the same ten", "ten", ten},
	}
	var candidates []candidate
	var comparisons []comparison
	add := func(name string, server *process, n int, d distribution) error {
		drawn, err := b.drawsOf(n, d)
		if err != nil {
			return err
		}
		candidates = append(candidates, candidate{
			Name: name, Server: server, Hosts: hostNames{tenantHosts, n}, Status: http.StatusOK, Draws: drawn, Metered: true,
		})
		return nil
	}
	for _, d := range distributions {
		first := len(candidates)
		for i, n := range sizes {
			if i > 0 {
				comparisons = append(comparisons, comparison{Over: first + i, Under: first, AtLeast: 0.95})
			}
			if err := add(fmt.Sprintf("%s, %s", thousands(n), d.Name), gateways[i], n, d); err != nil {
				return err
			}
		}
	}
	if n := b.Tenants; n > cacheSize {
		small, err := b.warmGateway(ctx, "gateway-small-cache", n, cacheSize, cacheSize, memory)
		if err != nil {
			return err
		}
		for _, d := range distributions[:2] {
			name := fmt.Sprintf("%s, %s, cache of %s", thousands(n), d.Name, thousands(cacheSize))
			if err := add(name, small, n, d); err != nil {
				return err
			}
		}
	}
	for _, c := range candidates {
		if err := c.Server.waitWritten(ctx); err != nil {
			return err
		}
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	samples, err := b.measure(ctx, candidates)
	if err != nil {
		return err
	}
	b.report.section("Tenants", fmt.Sprintf("The gateway on registries of so many tenants, asked for at random: uniform; by Zipf's law, the tenant of rank k as "+
		"often as 1/k^%.1f; or the same ten of them all the time. Caches hold all of them and are warm, `ttl 24h`; every gateway has GOGC=%s, with which a collection's cost for each request hardly "+
		"depends on how much is kept, and GOMEMLIMIT=%s. Where the cache has its default size of %s, what is not in it is read from the registry. "+
		"What the tenants have used is written to the registry at a pace that leaves the processor to requests, so mostly after a slice of this length: the next slice begins when nothing is left to "+
		"write, and the last two columns have the processor time of the slice and of all that was written after it (and of what else the gateway does by itself meanwhile). A slice asks for most tenants of a large registry once, the worst case: "+
		"under steady load, a tenant that is asked for again while it waits is written once.",
		zipfExponent, b.CurveGOGC, b.CurveLimit, thousands(cacheSize)))
	b.report.table(withWriting(resultTable(candidates, samples), samples))
	for _, c := range comparisons {
		b.report.compare(candidates, samples, c)
	}
	b.report.conditions(candidates, samples, len(b.cores.Proxy))
	for k, d := range distributions {
		l := line{Label: d.Name}
		for i, n := range sizes {
			l.Points = append(l.Points, point{float64(n), ratioTo(samples[k*len(sizes)+i], samples[k*len(sizes)])})
		}
		b.results.Tenants = append(b.results.Tenants, l)
	}
	return nil
}

// warmGateway starts a gateway on a registry of n tenants with a cache of a size, and asks it for the first of them once.
func (b *bench) warmGateway(ctx context.Context, name string, n, size, asked int, memory []string) (*process, error) {
	url, err := b.registryOf(ctx, n)
	if err != nil {
		return nil, err
	}
	global := fmt.Sprintf("\ttenants {\n\t\tregistry %s\n\t\tcache {\n\t\t\tsize %d\n\t\t\tttl 24h\n\t\t\tstale_for 24h\n\t\t}\n\t}\n", url, size)
	gateway, err := b.caddy(ctx, name, global, proxySingle, memory)
	if err != nil {
		return nil, err
	}
	b.progress("warming %s tenants", thousands(asked))
	return gateway, b.fill(ctx, gateway, asked)
}

// fillSlice is how long a gateway is asked at a time while it is filled, fillConnections how many requests are under way.
const (
	fillSlice       = 5 * time.Second
	fillConnections = 256
)

// fill asks a gateway for the tenants 0 to n-1, so that it has them in its cache. A thousand are a matter of a moment; more
// are asked for by wrk, which leaves the most time to the gateway.
func (b *bench) fill(ctx context.Context, gateway *process, n int) error {
	if n <= 1000 {
		return warm(ctx, gateway.Address, hostNames{tenantHosts, n}, n)
	}
	// Many connections, because a first request waits for the registry; one thread, because more would ask for the same.
	one := &wrk{script: b.wrk.script, cores: b.wrk.cores[:1], connections: fillConnections}
	c := candidate{Name: gateway.Name, Server: gateway, Status: http.StatusOK}
	for at, failed := 0, 0; at < n; {
		l, err := one.run(ctx, gateway.Address, question{Hosts: hostNames{tenantHosts, n}, From: at}, fillSlice)
		if err != nil {
			return err
		}
		if err := c.verify(l); err != nil { // a gateway that gets no time to ask its registry says so to the client
			if failed++; failed == tries {
				return err
			}
			b.progress("%s, from %s on, is taken again: %v", gateway.Name, thousands(at), err)
			continue
		}
		failed = 0
		at += max(1, int(l.Requests)-fillConnections) // the last ones may have had no answer
	}
	cached, err := cachedTenants(ctx, gateway.Admin)
	// A cache of n is divided into shards, which do not fill alike: some of n tenants have no room where they belong.
	if err == nil && cached < n-n/500-fillConnections {
		err = fmt.Errorf("%s has %d tenants in its cache after %d were asked for", gateway.Name, cached, n)
	}
	return err
}

// cachedTenants asks a gateway's admin endpoint how many entries its cache has.
func cachedTenants(ctx context.Context, admin string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/tenants/_cache", nil)
	if err != nil {
		return 0, err
	}
	resp, err := probeClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var stats adminapi.CacheStats
	if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil {
		return 0, fmt.Errorf("the cache's counters: %w", err)
	}
	return stats.Entries, nil
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
