package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// scenario is one comparison with its table.
type scenario struct {
	Name string
	Run  func(ctx context.Context, b *bench) error
}

// defaultScenarios are those that run when none are chosen.
const defaultScenarios = "one,scale,refuse,memory,cold"

// scenarios returns all of them, in the order in which they are listed.
func scenarios() []scenario {
	return []scenario{
		{"one", oneTenant},
		{"scale", manyTenants},
		{"refuse", refusals},
		{"memory", cachedMemory},
		{"cold", coldLookup},
		{"profile", profileGateway},
	}
}

// scenarioNames returns the names, separated by commas.
func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ",")
}

// scenarioNamed returns the scenario of that name.
func scenarioNamed(name string) (scenario, error) {
	for _, s := range scenarios() {
		if s.Name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("unknown scenario %q: must be one of %s", name, scenarioNames())
}

// compareAll measures the candidates and prints the table and the comparisons.
func (b *bench) compareAll(ctx context.Context, candidates []candidate, comparisons ...comparison) error {
	samples, err := b.measure(ctx, candidates)
	if err != nil {
		return err
	}
	b.report.table(resultTable(candidates, samples))
	for _, c := range comparisons {
		b.report.compare(candidates, samples, c)
	}
	b.report.conditions(candidates, samples, len(b.cores.Proxy))
	return nil
}

// oneTenant compares the gateway with plain reverse_proxy for a single tenant. Plain runs twice: the ratio of the
// second to the first, which are the same, shows how far the machine's noise reaches. Plain with constant headers is
// what it costs Caddy to forward as many headers, wherever they come from.
func oneTenant(ctx context.Context, b *bench) error {
	url, err := b.registryOf(ctx, 10)
	if err != nil {
		return err
	}
	plain, err := b.plain(ctx, "plain")
	if err != nil {
		return err
	}
	again, err := b.plain(ctx, "plain-again")
	if err != nil {
		return err
	}
	headers, err := b.caddy(ctx, "plain-headers", "", constantHeaders+"\treverse_proxy "+b.upstream()+"\n", b.memorySettings())
	if err != nil {
		return err
	}
	single, err := b.caddy(ctx, "gateway", gatewayOptions(url, cacheSize), proxySingle, b.memorySettings())
	if err != nil {
		return err
	}
	dynamic, err := b.caddy(ctx, "gateway-dynamic", gatewayOptions(url, cacheSize), proxyDynamic, b.memorySettings())
	if err != nil {
		return err
	}
	lean, err := b.caddy(ctx, "plain-lean", "", "\treverse_proxy "+b.upstream()+leanTransport, b.memorySettings())
	if err != nil {
		return err
	}
	gatewayLean, err := b.caddy(ctx, "gateway-lean", gatewayOptions(url, cacheSize), proxyLean, b.memorySettings())
	if err != nil {
		return err
	}
	hosts := hostNames{tenantHosts, 1}
	b.report.section("One tenant", "The gateway (identify by subdomain, resolve, spend, inject, forward) against `reverse_proxy` alone.")
	return b.compareAll(ctx, []candidate{
		{Name: "plain `reverse_proxy`", Server: plain, Hosts: hosts, Status: http.StatusOK},
		{Name: "plain, a second time", Server: again, Hosts: hosts, Status: http.StatusOK},
		{Name: "plain, constant headers", Server: headers, Hosts: hosts, Status: http.StatusOK},
		{Name: "gateway, `{tenant.upstream}`", Server: single, Hosts: hosts, Status: http.StatusOK},
		{Name: "gateway, `dynamic tenant`", Server: dynamic, Hosts: hosts, Status: http.StatusOK},
		{Name: "plain, `transport tenant`", Server: lean, Hosts: hosts, Status: http.StatusOK},
		{Name: "gateway, `transport tenant`", Server: gatewayLean, Hosts: hosts, Status: http.StatusOK},
	}, comparison{Over: 5, Under: 0, AtLeast: 1.3}, comparison{Over: 6, Under: 5, AtLeast: 0.97}, comparison{Over: 3, Under: 0, AtLeast: 0.97}, comparison{Over: 4, Under: 0, AtLeast: 0.97})
}

// manyTenants compares a gateway on a small registry with one on a big registry, both asked for the same tenants.
func manyTenants(ctx context.Context, b *bench) error {
	small, err := b.registryOf(ctx, b.Hot)
	if err != nil {
		return err
	}
	big, err := b.registryOf(ctx, b.Tenants)
	if err != nil {
		return err
	}
	facts, err := importFacts(big, b.Tenants)
	if err != nil {
		return err
	}
	plain, err := b.plain(ctx, "plain")
	if err != nil {
		return err
	}
	onSmall, err := b.caddy(ctx, "gateway-small", gatewayOptions(small, cacheSize), proxySingle, b.memorySettings())
	if err != nil {
		return err
	}
	onBig, err := b.caddy(ctx, "gateway-big", gatewayOptions(big, cacheSize), proxySingle, b.memorySettings())
	if err != nil {
		return err
	}
	hosts := hostNames{tenantHosts, b.Hot}
	b.report.section(fmt.Sprintf("%d tenants against %d in the registry", b.Hot, b.Tenants),
		fmt.Sprintf("Both gateways are asked for the same %d tenants in turn. %s.", b.Hot, upperFirst(facts)))
	return b.compareAll(ctx, []candidate{
		{Name: "plain `reverse_proxy`", Server: plain, Hosts: hosts, Status: http.StatusOK},
		{Name: fmt.Sprintf("gateway, %d", b.Hot), Server: onSmall, Hosts: hosts, Status: http.StatusOK},
		{Name: fmt.Sprintf("gateway, %d", b.Tenants), Server: onBig, Hosts: hosts, Status: http.StatusOK},
	}, comparison{Over: 2, Under: 1, AtLeast: 0.95})
}

// refusals compares what the gateway refuses with Caddy's own respond: without a body, and with the same headers and
// body, which is what it costs Caddy to say as much.
func refusals(ctx context.Context, b *bench) error {
	url, err := b.registryOf(ctx, 10)
	if err != nil {
		return err
	}
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
	b.report.section("Refusals", "What is refused, answered with problem+json, against `respond 429`, which has no body, and one with the same body and headers.")
	return b.compareAll(ctx, []candidate{
		{Name: "`respond 429`", Server: respond, Hosts: hostNames{limitedHost, 1}, Status: http.StatusTooManyRequests},
		{Name: "`respond`, same body, 429", Server: same, Hosts: hostNames{limitedHost, 1}, Status: http.StatusTooManyRequests},
		{Name: "gateway, over quota, 429", Server: gateway, Hosts: hostNames{limitedHost, 1}, Status: http.StatusTooManyRequests, Tolerated: 2},
		{Name: "gateway, suspended, 403", Server: gateway, Hosts: hostNames{suspendedHost, 1}, Status: http.StatusForbidden},
		{Name: "gateway, unknown, 404", Server: gateway, Hosts: hostNames{unknownHost, 1}, Status: http.StatusNotFound},
	}, comparison{Over: 2, Under: 0, AtLeast: 1})
}

// upperFirst returns s, which is plain ASCII, with a capital.
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
