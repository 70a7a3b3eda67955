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
	// Default is true for what runs when none are chosen.
	Default bool
}

// allScenarios stands for those that run when none are chosen: what RESULTS.md is made of. The others look at a part.
const allScenarios = "all"

// scenarios returns all of them, in the order in which they are listed.
func scenarios() []scenario {
	return []scenario{
		{"peers", comparePeers, true},
		{"refuse", refusals, true},
		{"tenants", tenantsCurve, true},
		{"cores", coresCurve, true},
		{"memory", cachedMemory, true},
		{"cold", coldLookup, true},
		{"one", oneTenant, false},
		{"scale", manyTenants, false},
		{"profile", profileGateway, false},
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

// chosenScenarios returns the scenarios of a list of names, divided by commas.
func chosenScenarios(names string) ([]scenario, error) {
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		before := len(chosen)
		for _, s := range scenarios() {
			if s.Name == name || name == allScenarios && s.Default {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("unknown scenario %q: must be %s, or one of %s", name, allScenarios, scenarioNames())
		}
	}
	return chosen, nil
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
	own, err := b.caddy(ctx, "gateway-proxy", gatewayOptions(url, cacheSize), proxyOwn, b.memorySettings())
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
		{Name: "gateway, `tenant_proxy`", Server: own, Hosts: hosts, Status: http.StatusOK},
	}, comparison{Over: 5, Under: 0, AtLeast: 1.3}, comparison{Over: 7, Under: 5, AtLeast: 0.97}, comparison{Over: 7, Under: 0, AtLeast: 0.97})
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

// upperFirst returns s, which is plain ASCII, with a capital.
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
