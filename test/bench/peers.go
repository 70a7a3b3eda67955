package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// peer is one of those that are compared in scenario peers.
type peer struct {
	// Key is the peer's among [budgets], and the name of its server.
	Key string
	// Name is what the table says.
	Name string
	// Ours is true for the gateway.
	Ours bool
	// Identifies is true for those that send the tenant's headers upstream; it is checked.
	Identifies bool
	// Tokens is a file with a token for each tenant.
	Tokens string
	Start  func(ctx context.Context) (*process, error)
}

// peerTenants is how many tenants the peers know and are asked for in turn.
const peerTenants = 10

// budget is a ratio of two peers' requests per second that must be reached.
type budget struct {
	Over, Under string
	AtLeast     float64
}

// budgets are those of scenario peers. The first three are at equal memory settings: what the gateway costs, forwarding by
// itself, against the same proxy without it, with the same transport and the standard one. The others are what a user gets by
// taking the gateway instead of a Caddy without plugins.
var budgets = []budget{
	{"gateway-proxy", "plain-transport", 0.97},
	{"gateway-proxy", "plain", 0.97},
	{"gateway-proxy-jwt", "plain-transport", 0.97},
	{"shipped-proxy", "stock", 1.5},
	{"shipped-proxy", "stock-forward-auth", 4},
}

// shown are ratios without a budget: with reverse_proxy behind the gateway, which copies its headers several times.
var shown = []budget{
	{Over: "gateway", Under: "plain"},
	{Over: "gateway-transport", Under: "plain-transport"},
	{Over: "headers", Under: "plain"},
	{Over: "plain-transport", Under: "plain"},
	{Over: "shipped-transport", Under: "stock"},
	{Over: "shipped-late", Under: "stock"},
	{Over: "gateway-late", Under: "plain-transport"},
}

// comparePeers compares the gateway with what people use instead.
func comparePeers(ctx context.Context, b *bench) error {
	url, facts, err := b.peerRegistry(ctx)
	if err != nil {
		return err
	}
	peers, err := b.peers(ctx, url, facts)
	if err != nil {
		return err
	}
	var candidates []candidate
	index := map[string]int{}
	for _, p := range peers {
		process, err := p.Start(ctx)
		if err != nil {
			return err
		}
		c := candidate{Name: p.Name, Server: process, Hosts: hostNames{tenantHosts, peerTenants}, Status: http.StatusOK, Tokens: p.Tokens}
		if p.Identifies {
			c.Upstream = facts[:peerTenants]
		}
		index[p.Key] = len(candidates)
		candidates = append(candidates, c)
	}
	samples, err := b.measure(ctx, candidates)
	if err != nil {
		return err
	}
	stock, hasStock := index["stock"]
	if !hasStock {
		stock = -1
	}
	b.report.section("Peers", fmt.Sprintf("%d tenants in turn. The first lines have equal memory settings (GOGC=%s GOMEMLIMIT=%s); "+
		"what is *as shipped* or *stock* has its own, and nginx and HAProxy need none. All but plain and stock `reverse_proxy` find the tenant, hold "+
		"it to its limit, and send the same nine headers upstream (constant ones in the third line).", peerTenants, b.GOGC, b.GOMEMLIMIT))
	b.report.table(peerTable(candidates, samples, stock))
	noise := ratioTo(samples[index["again"]], samples[index["plain"]])
	b.report.printf("- noise: plain `reverse_proxy` ÷ itself, median %.3f (%s)\n", noise.Median, spread(noise))
	for _, want := range budgets {
		b.report.compareKeys(candidates, samples, index, want)
	}
	for _, pair := range shown {
		b.report.show(candidates, samples, index, pair)
	}
	b.report.conditions(candidates, samples, len(b.cores.Proxy))
	for i, p := range peers {
		b.results.Peers = append(b.results.Peers, bar{plainText(p.Name), p.Ours, ratioTo(samples[i], samples[0])})
	}
	return nil
}

// show prints a ratio of two peers, if both are there.
func (r *report) show(candidates []candidate, samples [][]sample, index map[string]int, pair budget) {
	over, hasOver := index[pair.Over]
	under, hasUnder := index[pair.Under]
	if hasOver && hasUnder {
		ratio := ratioTo(samples[over], samples[under])
		r.printf("- %s ÷ %s: median %.3f (%s)\n", candidates[over].Name, candidates[under].Name, ratio.Median, spread(ratio))
	}
}

// compareKeys prints a ratio of two peers, and whether it is within its budget. What was not measured is not met.
func (r *report) compareKeys(candidates []candidate, samples [][]sample, index map[string]int, want budget) {
	over, hasOver := index[want.Over]
	under, hasUnder := index[want.Under]
	if hasOver && hasUnder {
		r.compare(candidates, samples, comparison{over, under, want.AtLeast})
		return
	}
	r.budget(fmt.Sprintf("%s ÷ %s: not measured, budget at least %.2f", want.Over, want.Under, want.AtLeast), false)
}

// peerRegistry returns a registry of [peerTenants] and what it knows of them and of the tenant that is over its limit.
func (b *bench) peerRegistry(ctx context.Context) (url string, facts []tenantFacts, err error) {
	if url, err = b.registryOf(ctx, peerTenants); err != nil {
		return "", nil, err
	}
	facts, err = factsOf(ctx, url, peerTenants)
	return url, facts, err
}

// peers returns all peers whose programs are there. Those that ask a service of their own have it started before.
func (b *bench) peers(ctx context.Context, url string, facts []tenantFacts) ([]peer, error) {
	auth, err := b.auth(ctx, facts)
	if err != nil {
		return nil, err
	}
	key, tokens, err := writeTokens(b.runDir, peerTenants, b.began)
	if err != nil {
		return nil, err
	}
	config := peerConfig{Upstream: b.upstream(), Auth: auth, Key: key, Tenants: facts}
	forward, jwt, lean, plainLean, own, ownJWT, late := "", "", "", "", "", "", ""
	for name, text := range map[string]*string{
		"forward-auth.Caddyfile": &forward, "gateway-jwt.Caddyfile": &jwt,
		"gateway-proxy.Caddyfile": &own, "gateway-proxy-jwt.Caddyfile": &ownJWT,
		"gateway-late.Caddyfile":      &late,
		"gateway-transport.Caddyfile": &lean, "plain-transport.Caddyfile": &plainLean,
	} {
		if *text, err = config.render(name); err != nil {
			return nil, err
		}
	}
	plain, equal := "\treverse_proxy "+b.upstream()+"\n", b.memorySettings()
	global := gatewayOptions(url, cacheSize)
	caddy := func(key, binary, global, site string, memory []string) func(context.Context) (*process, error) {
		return func(ctx context.Context) (*process, error) {
			return b.startCaddy(ctx, caddySpec{Name: key, Binary: binary, Global: global, Site: site, Memory: memory})
		}
	}
	setup := func(key string) peerSetup {
		return peerSetup{Name: key, Cores: b.cores.Proxy, Upstream: b.upstream(), Tenants: facts}
	}
	var list []peer
	add := func(here bool, p peer, start func(context.Context) (*process, error)) {
		if here {
			p.Start = start
			list = append(list, p)
		}
	}
	t := b.tools
	add(true, peer{Key: "plain", Name: "plain `reverse_proxy`"}, caddy("plain", "", "", plain, equal))
	add(true, peer{Key: "again", Name: "plain, a second time"}, caddy("again", "", "", plain, equal))
	add(true, peer{Key: "headers", Name: "plain, constant headers"}, caddy("headers", "", "", constantHeaders+plain, equal))
	add(true, peer{Key: "gateway", Name: "**gateway**", Ours: true, Identifies: true},
		caddy("gateway", "", global, proxySingle, equal))
	add(true, peer{Key: "gateway-jwt", Name: "**gateway**, with JWT", Ours: true, Identifies: true, Tokens: tokens},
		caddy("gateway-jwt", "", global, jwt, equal))
	add(t.Lean, peer{Key: "plain-transport", Name: "plain, `transport tenant`"},
		caddy("plain-transport", "", "", plainLean, equal))
	add(t.Lean, peer{Key: "gateway-transport", Name: "**gateway**, `transport tenant`", Ours: true, Identifies: true},
		caddy("gateway-transport", "", global, lean, equal))
	add(t.Lean, peer{Key: "gateway-proxy", Name: "**gateway**, `tenant_proxy`", Ours: true, Identifies: true},
		caddy("gateway-proxy", "", global, own, equal))
	add(t.Lean, peer{Key: "gateway-proxy-jwt", Name: "**gateway**, `tenant_proxy`, with JWT", Ours: true, Identifies: true, Tokens: tokens},
		caddy("gateway-proxy-jwt", "", global, ownJWT, equal))
	add(t.Lean, peer{Key: "gateway-late", Name: "**gateway**, `tenant_proxy`, `inject late`", Ours: true, Identifies: true},
		caddy("gateway-late", "", global, late, equal))
	add(true, peer{Key: "forward-auth", Name: "`forward_auth`", Identifies: true}, caddy("forward-auth", "", "", forward, equal))
	add(true, peer{Key: "shipped", Name: "**gateway**, as shipped", Ours: true, Identifies: true},
		caddy("shipped", "", global, proxySingle, nil))
	add(t.Lean, peer{Key: "shipped-transport", Name: "**gateway**, `transport tenant`, as shipped", Ours: true, Identifies: true},
		caddy("shipped-transport", "", global, lean, nil))
	add(t.Lean, peer{Key: "shipped-proxy", Name: "**gateway**, `tenant_proxy`, as shipped", Ours: true, Identifies: true},
		caddy("shipped-proxy", "", global, own, nil))
	add(t.Lean, peer{Key: "shipped-late", Name: "**gateway**, `tenant_proxy`, `inject late`, as shipped", Ours: true, Identifies: true},
		caddy("shipped-late", "", global, late, nil))
	add(t.Stock != "", peer{Key: "stock", Name: "stock Caddy, `reverse_proxy`"}, caddy("stock", t.Stock, "", plain, nil))
	add(t.Stock != "", peer{Key: "stock-forward-auth", Name: "stock Caddy, `forward_auth`", Identifies: true},
		caddy("stock-forward-auth", t.Stock, "", forward, nil))
	add(t.Nginx != "", peer{Key: "nginx", Name: "nginx, `limit_req`", Identifies: true},
		func(ctx context.Context) (*process, error) { return b.nginx(ctx, setup("nginx")) })
	add(t.HAProxy != "", peer{Key: "haproxy", Name: "HAProxy, stick table", Identifies: true},
		func(ctx context.Context) (*process, error) { return b.haproxy(ctx, setup("haproxy")) })
	add(t.Lua, peer{Key: "nginx-lua", Name: "nginx, Lua and Redis", Identifies: true},
		func(ctx context.Context) (*process, error) { return b.nginxLua(ctx, setup("nginx-lua")) })
	return list, nil
}

// plainText takes Markdown's marks out of a name.
func plainText(name string) string { return strings.NewReplacer("**", "", "`", "").Replace(name) }

// ratioTo returns the ratio of the requests per second to those of another candidate in the same round.
func ratioTo(samples, base []sample) summary {
	return summarize(pairedRatios(column(samples, sample.rate), column(base, sample.rate)))
}
