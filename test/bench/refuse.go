package main

import (
	"context"
	"net/http"
)

// refusals compares what the gateway refuses with Caddy's own respond: without a body, and with the same headers and
// body, which is what it costs Caddy to say as much; and its 429 with those of the peers.
func refusals(ctx context.Context, b *bench) error {
	url, facts, err := b.peerRegistry(ctx)
	if err != nil {
		return err
	}
	over := hostNames{limitedHost, 1}
	respond, err := b.caddy(ctx, "respond", "", "\trespond 429\n", b.memorySettings())
	if err != nil {
		return err
	}
	same, err := b.caddy(ctx, "respond-same", "", respondProblem, b.memorySettings())
	if err != nil {
		return err
	}
	gateway, err := b.caddy(ctx, "gateway", gatewayOptions(url, cacheSize), proxySingle, b.memorySettings())
	if err != nil {
		return err
	}
	const many = http.StatusTooManyRequests
	candidates := []candidate{
		{Name: "`respond 429`", Server: respond, Hosts: over, Status: many},
		{Name: "`respond`, same body, 429", Server: same, Hosts: over, Status: many},
		{Name: "**gateway**, over quota, 429", Server: gateway, Hosts: over, Status: many, Tolerated: 2},
		{Name: "**gateway**, suspended, 403", Server: gateway, Hosts: hostNames{suspendedHost, 1}, Status: http.StatusForbidden},
		{Name: "**gateway**, unknown, 404", Server: gateway, Hosts: hostNames{unknownHost, 1}, Status: http.StatusNotFound},
	}
	others, err := b.refusingPeers(ctx, facts)
	if err != nil {
		return err
	}
	candidates = append(candidates, others...)
	b.report.section("Refusals", "What is refused, answered by the gateway with problem+json, against `respond 429`, which has no body, one with the "+
		"same body and headers, and the peers' own 429. Where cores were not busy, wrk was what limited it: compare CPU per request.")
	samples, err := b.measure(ctx, candidates)
	if err != nil {
		return err
	}
	b.report.table(resultTable(candidates, samples))
	b.report.compare(candidates, samples, comparison{Over: 2, Under: 0, AtLeast: 1})
	b.report.conditions(candidates, samples, len(b.cores.Proxy))
	for i, c := range candidates {
		b.results.Refusals = append(b.results.Refusals,
			bar{plainText(c.Name), c.Server == gateway, summarize(column(samples[i], sample.rate))})
	}
	return nil
}

// refusingPeers starts the peers that refuse what is over its limit.
func (b *bench) refusingPeers(ctx context.Context, facts []tenantFacts) ([]candidate, error) {
	setup := func(name string) peerSetup {
		return peerSetup{Name: name, Cores: b.cores.Proxy, Upstream: b.upstream(), Tenants: facts}
	}
	var candidates []candidate
	for _, p := range []struct {
		here  bool
		name  string
		start func() (*process, error)
	}{
		{b.tools.Stock != "", "stock Caddy, `forward_auth`, 429", func() (*process, error) {
			auth, err := b.auth(ctx, facts)
			if err != nil {
				return nil, err
			}
			site, err := peerConfig{Upstream: b.upstream(), Auth: auth, Tenants: facts}.render("forward-auth.Caddyfile")
			if err != nil {
				return nil, err
			}
			return b.startCaddy(ctx, caddySpec{Name: "stock-forward-auth", Binary: b.tools.Stock, Site: site})
		}},
		{b.tools.Nginx != "", "nginx, `limit_req`, 429", func() (*process, error) { return b.nginx(ctx, setup("nginx")) }},
		{b.tools.HAProxy != "", "HAProxy, stick table, 429", func() (*process, error) { return b.haproxy(ctx, setup("haproxy")) }},
		{b.tools.Lua, "nginx, Lua and Redis, 429", func() (*process, error) { return b.nginxLua(ctx, setup("nginx-lua")) }},
	} {
		if !p.here {
			continue
		}
		process, err := p.start()
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, candidate{
			Name: p.name, Server: process, Hosts: hostNames{limitedHost, 1}, Status: http.StatusTooManyRequests, Tolerated: 2,
		})
	}
	return candidates, nil
}
