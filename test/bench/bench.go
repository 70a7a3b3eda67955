package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// bench is one run: what all scenarios share.
type bench struct {
	options
	dir, runDir, gateway string
	program              string // this one
	cores                layout
	wrk                  *wrk
	report               *report
	rounds               int
	sliceLength          time.Duration
	tools                tools
	results              results
	began                time.Time

	servers []*process      // that run now, in the order of their start
	made    map[string]bool // names of the registries that this run has a copy of
}

// play runs one scenario, and stops everything that it started. The upstream runs for each anew.
func (b *bench) play(ctx context.Context, s scenario) error {
	defer b.stopAll()
	b.progress("scenario %s", s.Name)
	if _, err := b.upstreamOn(ctx, "upstream", b.cores.Upstream); err != nil { // it takes the first port
		return err
	}
	return s.Run(ctx, b)
}

// upstream returns the upstream's address. It stands in the registries too.
func (b *bench) upstream() string { return b.address(0) }

// address returns the address of the n-th port.
func (b *bench) address(n int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.Port+n))
}

// start starts a server that runs until the end of the scenario.
func (b *bench) start(ctx context.Context, s server) (*process, error) {
	p, err := start(ctx, s, b.runDir)
	if err == nil {
		b.servers = append(b.servers, p)
	}
	return p, err
}

// stopAll stops the servers, the last one first.
func (b *bench) stopAll() {
	for i := len(b.servers) - 1; i >= 0; i-- {
		b.servers[i].stop()
	}
	b.servers = nil
}

// progress tells the person in front of the terminal what is going on; it is no part of the report.
func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// memorySettings are the same for everything that is compared. A collector that only runs at the limit treats a
// small live heap and a large one alike, whereas GOGC=100 makes collections rarer the more a program keeps, so that
// a gateway with a full cache would look faster than plain Caddy.
func (b *bench) memorySettings() []string {
	return []string{"GOGC=" + b.GOGC, "GOMEMLIMIT=" + b.GOMEMLIMIT}
}

// caddySpec says which Caddy runs how.
type caddySpec struct {
	// Name is the server's.
	Name string
	// Binary is the program; empty means the built gateway.
	Binary string
	// Global are global options, Site is the content of the one site.
	Global, Site string
	// Memory is the environment that sets the collector; without it the program has its own settings.
	Memory []string
	// Cores are those that it runs on; none means the run's.
	Cores coreSet
}

// caddy starts the built gateway with a configuration: global options and the content of its one site.
func (b *bench) caddy(ctx context.Context, name, global, site string, memory []string) (*process, error) {
	return b.startCaddy(ctx, caddySpec{Name: name, Global: global, Site: site, Memory: memory})
}

// startCaddy starts a Caddy.
func (b *bench) startCaddy(ctx context.Context, s caddySpec) (*process, error) {
	home, err := b.home(s.Name)
	if err != nil {
		return nil, err
	}
	if s.Binary == "" {
		s.Binary = b.gateway
	}
	if s.Cores == nil {
		s.Cores = b.cores.Proxy
	}
	port := b.port()
	address, admin := b.address(port), b.address(port+1)
	config := filepath.Join(home, "Caddyfile")
	text := fmt.Sprintf(caddyfile, admin, s.Global, b.Port+port, s.Site)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return b.start(ctx, server{
		Name:    s.Name,
		Command: []string{s.Binary, "run", "--config", config, "--adapter", "caddyfile"},
		Env: append([]string{
			"GOMAXPROCS=" + strconv.Itoa(len(s.Cores)), "HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home,
		}, s.Memory...),
		Cores: s.Cores, Address: address, Admin: admin,
	})
}

// home makes a directory for a server.
func (b *bench) home(name string) (string, error) {
	home := filepath.Join(b.runDir, name)
	return home, os.MkdirAll(home, 0o755)
}

// port returns the number of the next server's first port; it may use the one after it too.
func (b *bench) port() int { return 2 * len(b.servers) }

// caddyfile takes the admin address, global options, the port, and the site's content. Nothing but errors is logged.
const caddyfile = `{
	admin %s
	auto_https off
	persist_config off
	default_bind 127.0.0.1
	log {
		level ERROR
	}
%s}

:%d {
%s}
`

// gatewayOptions are the global options of a gateway on a registry.
func gatewayOptions(registryURL string, cacheSize int) string {
	return fmt.Sprintf("\ttenants {\n\t\tregistry %s\n\t\tcache {\n\t\t\tsize %d\n\t\t}\n\t}\n", registryURL, cacheSize)
}

const (
	// cacheSize is the default of the gateway.
	cacheSize = 100_000
	// identify begins the site of every gateway.
	identify = "\ttenant {\n\t\tidentify subdomain {tenant}." + domain + "\n\t}\n"
	// constantHeaders are as many and as long as those that the gateway sends upstream and to the client.
	constantHeaders = `	request_header X-Tenant-ID 0190a000-0000-7000-8000-000000000001
	request_header X-Tenant-Slug t0000000
	request_header X-Tenant-Name "Tenant number 0"
	request_header X-Tenant-Plan pro
	request_header X-Tenant-Isolation shared_schema
	request_header X-Environment-ID 0190a000-0000-7000-8000-000000000011
	request_header X-Environment-Slug production
	request_header X-Environment-Type production
	request_header X-Environment-Region eu-west-1
	header RateLimit-Policy "\"requests\";q=60000000;w=60"
	header RateLimit "\"requests\";r=59999999;t=1"
`
	// leanTransport is the block of a reverse_proxy that sends with `transport tenant`.
	leanTransport = " {\n\t\ttransport tenant\n\t}\n"
	// proxySingle forwards to the tenant's only upstream.
	proxySingle = identify + "\treverse_proxy {tenant.upstream}\n"
	// proxyOwn does the same with tenant_proxy, proxyLean with transport tenant.
	proxyOwn  = identify + "\ttenant_proxy\n"
	proxyLean = identify + "\treverse_proxy {tenant.upstream}" + leanTransport
	// proxyDynamic forwards to any of the tenant's upstreams.
	proxyDynamic = identify + "\treverse_proxy {\n\t\tdynamic tenant\n\t}\n"
)

// plain starts what everything is compared with: reverse_proxy to the same upstream in the same binary.
func (b *bench) plain(ctx context.Context, name string) (*process, error) {
	return b.caddy(ctx, name, "", "\treverse_proxy "+b.upstream()+"\n", b.memorySettings())
}

// writeFile writes a file by way of a temporary one, so that a run that was interrupted leaves none that is cut off.
func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	err = write(file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
