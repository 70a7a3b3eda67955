package main

import (
	"context"
	"fmt"
	"net/http"
)

// The candidates of refusals, by number.
const (
	refuseBare = iota // respond without a body
	refuseQuota
	refuseSuspended
	refuseUnknown
	refuseSame // the first of three: respond with the answers of the gateway's three, in their order
)

// refusals compares what the gateway refuses with Caddy's own respond: without a body, and with the very same headers and
// body, which is what it costs Caddy to say as much; and its 429 with those of the peers, and of a Caddy whose forward_auth
// has the limit.
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
	gateway, err := b.caddy(ctx, "gateway", gatewayOptions(url, cacheSize), proxySingle, b.memorySettings())
	if err != nil {
		return err
	}
	const many = http.StatusTooManyRequests
	candidates := []candidate{
		refuseBare:      {Name: "`respond 429`", Server: respond, Hosts: over, Status: many},
		refuseQuota:     {Name: "**gateway**, over quota, 429", Server: gateway, Hosts: over, Status: many, Tolerated: 2},
		refuseSuspended: {Name: "**gateway**, suspended, 403", Server: gateway, Hosts: hostNames{suspendedHost, 1}, Status: http.StatusForbidden},
		refuseUnknown:   {Name: "**gateway**, unknown, 404", Server: gateway, Hosts: hostNames{unknownHost, 1}, Status: http.StatusNotFound},
	}
	for i := refuseQuota; i < refuseSame; i++ {
		same, err := b.respondSame(ctx, candidates[i])
		if err != nil {
			return err
		}
		candidates = append(candidates, same)
	}
	others, err := b.refusingPeers(ctx, facts)
	if err != nil {
		return err
	}
	candidates = append(candidates, others...)
	b.report.section("Refusals", "What is refused, answered by the gateway with problem+json, against `respond 429`, which has no body; "+
		"`respond` with the very same headers and body as each of the gateway's answers; and the peers' own 429. "+
		"Where cores were not busy, wrk was what limited it: compare CPU per request.")
	samples, err := b.measure(ctx, candidates)
	if err != nil {
		return err
	}
	b.report.table(resultTable(candidates, samples))
	b.report.table(refusalTable(candidates, samples))
	b.report.compare(candidates, samples, comparison{Over: refuseQuota, Under: refuseBare, AtLeast: 1})
	for i := refuseQuota; i < refuseSame; i++ {
		b.report.compareCost(candidates, samples, i, i-refuseQuota+refuseSame, 1)
	}
	b.report.conditions(candidates, samples, len(b.cores.Proxy))
	for i, c := range candidates {
		b.results.Refusals = append(b.results.Refusals,
			bar{plainText(c.Name), c.Server == gateway, summarize(column(samples[i], sample.rate))})
	}
	return nil
}

// refusalTable shows the gateway's refusals next to both of what Caddy's respond does.
func refusalTable(candidates []candidate, samples [][]sample) table {
	t := table{Header: []string{
		"refusal", "requests ÷ `respond 429`", "requests ÷ `respond`, the same", "CPU ÷ `respond 429`", "CPU ÷ `respond`, the same",
	}}
	for i := refuseQuota; i < refuseSame; i++ {
		row := []string{candidates[i].Name}
		for _, figure := range []func(sample) float64{sample.rate, sample.cpuPerRequest} {
			for _, under := range []int{refuseBare, i - refuseQuota + refuseSame} {
				r := summarize(pairedRatios(column(samples[i], figure), column(samples[under], figure)))
				row = append(row, fmt.Sprintf("%.3f (%.2f to %.2f)", r.Median, r.Min, r.Max))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// compareCost prints the ratio of two candidates' processor time for each answer, and whether it is within its budget.
func (r *report) compareCost(candidates []candidate, samples [][]sample, over, under int, atMost float64) {
	ratio := summarize(pairedRatios(column(samples[over], sample.cpuPerRequest), column(samples[under], sample.cpuPerRequest)))
	r.budget(fmt.Sprintf("CPU of %s ÷ %s: median %.3f (%.2f to %.2f), budget at most %.2f",
		candidates[over].Name, candidates[under].Name, ratio.Median, ratio.Min, ratio.Max, atMost), ratio.Median <= atMost)
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
