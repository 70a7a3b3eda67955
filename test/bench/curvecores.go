package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// curveCores are the numbers of cores of scenario cores, as far as the machine has them.
var curveCores = []int{1, 2, 4}

// layoutOf gives a proxy so many cores. Where none would be left for upstream and load, these share them all.
func layoutOf(available coreSet, proxyCores int) (layout, bool) {
	if l, err := layoutFor(available, proxyCores); err == nil && proxyCores < len(available) {
		return l, false
	}
	return layout{available[:proxyCores], available, available}, true
}

// coresCurve compares proxies on one, two and four cores. Each number has an upstream of its own, pinned to other cores than
// the proxy where there are enough.
func coresCurve(ctx context.Context, b *bench) error {
	available, err := allowedCores()
	if err != nil {
		return err
	}
	var candidates []candidate
	var numbers []int
	var lines []line
	text, axis := "", "cores of the proxy"
	for _, n := range curveCores {
		if n > len(available) {
			continue
		}
		cores, shared := layoutOf(available, n)
		group, names, err := b.coresGroup(ctx, n, cores)
		if err != nil {
			return err
		}
		text += fmt.Sprintf(" %d: proxy %s, upstream %s, wrk %s", n, cores.Proxy, cores.Upstream, cores.Load)
		if shared {
			text += " (shared, so that the proxy has less than that)"
			axis += fmt.Sprintf("; %d are shared with upstream and wrk", n)
		}
		text += "."
		if lines == nil {
			lines = names
		}
		candidates, numbers = append(candidates, group...), append(numbers, n)
	}
	samples, err := b.measure(ctx, candidates)
	if err != nil {
		return err
	}
	b.report.section("Cores", "Proxies on so many cores, as many procs, workers or threads, equal memory settings where it is Go. Cores:"+text+
		" `requests ÷ first` is to plain `reverse_proxy` on one core.")
	b.report.table(resultTable(candidates, samples))
	for k, n := range numbers {
		for i := range lines {
			at := k*len(lines) + i
			lines[i].Points = append(lines[i].Points, point{float64(n), summarize(column(samples[at], sample.rate))})
		}
		from := k * len(lines)
		b.report.printf("- %d cores: the gateway ÷ plain `reverse_proxy` %.3f\n", n, ratioTo(samples[from+1], samples[from]).Median)
	}
	b.results.Cores, b.results.CoresAxis = lines, axis
	return nil
}

// coresGroup starts the proxies that are compared on so many cores. Their order is the same for each number: plain first,
// then the gateway.
func (b *bench) coresGroup(ctx context.Context, n int, cores layout) ([]candidate, []line, error) {
	upstream, err := b.upstreamOn(ctx, fmt.Sprintf("upstream-%d", n), cores.Upstream)
	if err != nil {
		return nil, nil, err
	}
	url, err := b.registryFor(ctx, peerTenants, upstream)
	if err != nil {
		return nil, nil, err
	}
	facts, err := factsOf(ctx, url, peerTenants)
	if err != nil {
		return nil, nil, err
	}
	own, err := peerConfig{}.render("gateway-proxy.Caddyfile")
	if err != nil {
		return nil, nil, err
	}
	load := &wrk{script: b.wrk.script, cores: cores.Load, connections: b.Connections}
	var candidates []candidate
	var lines []line
	for _, p := range []struct {
		here         bool
		name         string
		global, site string // of a Caddy
		start        func(context.Context, peerSetup) (*process, error)
	}{
		{true, "plain `reverse_proxy`", "", "\treverse_proxy " + upstream + "\n", nil},
		{true, "**gateway**", gatewayOptions(url, cacheSize), proxySingle, nil},
		{b.tools.Lean, "**gateway**, `tenant_proxy`", gatewayOptions(url, cacheSize), own, nil},
		{b.tools.Nginx != "", "nginx, `limit_req`", "", "", b.nginx},
		{b.tools.HAProxy != "", "HAProxy, stick table", "", "", b.haproxy},
	} {
		if !p.here {
			continue
		}
		name := fmt.Sprintf("cores-%d-%d", n, len(candidates))
		var process *process
		if p.start != nil {
			process, err = p.start(ctx, peerSetup{Name: name, Cores: cores.Proxy, Upstream: upstream, Tenants: facts})
		} else {
			process, err = b.startCaddy(ctx, caddySpec{Name: name, Global: p.global, Site: p.site, Memory: b.memorySettings(), Cores: cores.Proxy})
		}
		if err != nil {
			return nil, nil, err
		}
		candidates = append(candidates, candidate{
			Name: fmt.Sprintf("%d, %s", n, p.name), Server: process, Hosts: hostNames{tenantHosts, peerTenants}, Status: http.StatusOK, Load: load,
		})
		lines = append(lines, line{Label: plainText(p.name)})
	}
	return candidates, lines, nil
}

// upstreamOn starts one more upstream, and returns its address.
func (b *bench) upstreamOn(ctx context.Context, name string, cores coreSet) (string, error) {
	address := b.address(b.port())
	_, err := b.start(ctx, server{
		Name: name, Command: []string{b.program, "upstream", address}, Cores: cores, Address: address,
		Env: []string{"GOMAXPROCS=" + strconv.Itoa(len(cores))},
	})
	return address, err
}
