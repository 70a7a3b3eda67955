package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/adminapi/client"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/redis"
)

// pollInterval is how often the gateways look at the change log.
const pollInterval = time.Second

// What signs tokens and cookies.
const (
	tokenSecret   = "soak-token-secret-of-more-than-32-bytes"
	sessionSecret = "soak-session-secret-of-more-than-32-bytes"
)

// caddyfile is what both gateways are started with. A reload loads it again.
const caddyfile = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	http_port {$PORT}
	https_port {$TLS_PORT}
	grace_period 5s
	metrics
	on_demand_tls {
		permission tenant
	}
	tenants {
		registry {$TENANT_REGISTRY} {
			poll_interval 1s
		}
		cache {
			ttl 1m
			negative_size 1000
		}
		quota {$REDIS}
		domains off
	}
}

(tenants) {
	bind 127.0.0.1
	tenant {
		identify jwt {
			secret {env.TOKEN_SECRET}
			audience soak
		}
		identify session {
			secret {env.SESSION_SECRET}
			any_user
		}
		identify api_key
		identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
		identify domain
		identify path /t/{tenant} {
			strip
		}
		identify header X-Tenant-ID
	}
	tenant_proxy {
		stream_close_delay 1m
	}
}

http:// {
	import tenants
}

https:// {
	tls {
		on_demand
		issuer internal
	}
	import tenants
}
`

// gateway is one of the gateways, through its restarts.
type gateway struct {
	number               int
	address, secure, api string // where it serves HTTP, HTTPS and its admin endpoint
	dir                  string
	program              program
	process              *process
	http                 *http.Client
	admin                *client.Client
	// down are the stretches in which it was restarted, reloads those in which it was reloaded.
	down, reloads spans
	// use is held by who makes a change through it, and by who restarts or reloads it.
	use sync.RWMutex
	// past is how much time its former processes have had on cores.
	past time.Duration
	// pid is that of the present process.
	pid atomic.Int64
}

// system is everything that runs.
type system struct {
	dir       string
	binary    string
	sqld      *process
	store     *registry.Store
	url       string
	redis     *redis.Server
	gateways  []*gateway
	upstreams []*upstream
	// calm is held by who makes changes, and by who takes the registry away.
	calm sync.RWMutex
	// registryDown and redisDown are the stretches in which these did not answer, stalls those in which the machine stood still.
	registryDown, redisDown, stalls spans
}

// numbers of [system.upstreams].
const (
	upstreamFirst  = iota
	upstreamSecond // where tenants are moved to, and back
	upstreamSlow
	upstreamMortal // dies and comes back
)

// startSystem starts everything. What has been started is to be stopped also after an error.
func startSystem(ctx context.Context, dir, binary, sqld string, gateways int) (*system, error) {
	s := &system{dir: dir, binary: binary}
	for i, name := range []string{"first", "second", "slow", "mortal"} {
		u, err := startUpstream(name, i == upstreamSlow)
		if err != nil {
			return s, err
		}
		s.upstreams = append(s.upstreams, u)
	}
	address, err := freeAddress()
	if err != nil {
		return s, err
	}
	s.url = "http://" + address
	if s.sqld, err = start(ctx, program{
		name: "sqld", dir: dir, command: []string{sqld, "--no-welcome", "--db-path", filepath.Join(dir, "registry"), "--http-listen-addr", address},
		ready: func(ctx context.Context) error { return answers(ctx, s.url+"/health") },
	}); err != nil {
		return s, err
	}
	if s.redis, err = redis.Run(dir, redis.Options{}); err != nil {
		return s, err
	}
	if s.store, err = registry.Open(registry.Options{URL: s.url, MaxOpenConns: 4}); err != nil {
		return s, err
	}
	if err := s.store.Migrate(ctx); err != nil {
		return s, err
	}
	for i := range gateways {
		g, err := s.newGateway(i)
		if err != nil {
			return s, err
		}
		s.gateways = append(s.gateways, g)
		if err := g.start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// stop ends everything; an error says what did not end as it should.
func (s *system) stop() error {
	errs := make([]error, len(s.gateways))
	var all sync.WaitGroup
	for i, g := range s.gateways {
		g.http.CloseIdleConnections()
		if g.process != nil {
			all.Go(func() { errs[i] = g.process.stop() })
		}
	}
	all.Wait()
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.redis != nil {
		s.redis.Stop()
	}
	if s.sqld != nil {
		s.sqld.kill()
	}
	for _, u := range s.upstreams {
		u.die()
	}
	return errors.Join(errs...)
}

// restartRegistry starts sqld again with the same data.
func (s *system) restartRegistry(ctx context.Context) (err error) {
	s.sqld, err = start(ctx, s.sqld.program)
	return err
}

func (s *system) newGateway(number int) (*gateway, error) {
	g := &gateway{number: number, dir: filepath.Join(s.dir, fmt.Sprintf("gateway-%d", number+1)), http: harness.NewClient(64)}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(g.dir, "Caddyfile"), []byte(caddyfile), 0o600); err != nil {
		return nil, err
	}
	for _, address := range []*string{&g.address, &g.secure, &g.api} {
		var err error
		if *address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	g.program = program{
		name: "gateway", dir: g.dir, command: []string{s.binary, "run", "--config", "Caddyfile"},
		env: []string{
			"HOME=" + g.dir, "XDG_DATA_HOME=" + filepath.Join(g.dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(g.dir, "config"),
			"ADMIN=" + g.api, "PORT=" + port(g.address), "TLS_PORT=" + port(g.secure),
			"TENANT_REGISTRY=" + s.url, "REDIS=" + s.redis.URL(), "TOKEN_SECRET=" + tokenSecret, "SESSION_SECRET=" + sessionSecret,
		},
		// The admin endpoint tells the configuration only once all of it has started.
		ready: func(ctx context.Context) error { return answers(ctx, "http://"+g.api+"/config/apps/http") },
	}
	var err error
	g.admin, err = client.New(client.Options{Address: "http://" + g.api, Actor: "soak", Timeout: 30 * time.Second})
	return g, err
}

func (g *gateway) start(ctx context.Context) (err error) {
	if g.process, err = start(ctx, g.program); err != nil {
		return err
	}
	g.pid.Store(int64(g.process.cmd.Process.Pid))
	return nil
}

// reload loads the configuration again, as an operator does.
func (g *gateway) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.program.command[0], "reload", "--config", "Caddyfile", "--address", g.api, "--force")
	cmd.Dir, cmd.Env = g.dir, append([]string{"PATH=" + os.Getenv("PATH")}, g.program.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("reload of gateway %d: %w\n%s", g.number+1, err, out)
	}
	return nil
}

// dialSecure opens a connection for a server name to the gateway's HTTPS site. The certificate has to be of the gateway's
// own authority.
func (g *gateway) dialSecure(ctx context.Context, name string) (net.Conn, error) {
	pem, err := os.ReadFile(filepath.Join(g.dir, "data", "caddy", "pki", "authorities", "local", "root.crt"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: name, RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("the gateway's authority has no certificate")
	}
	return (&tls.Dialer{NetDialer: &net.Dialer{Timeout: requestTimeout}, Config: config}).DialContext(ctx, "tcp", g.secure)
}

// answers returns nil when a URL is answered with 200.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %s", strings.TrimPrefix(url, "http://"), resp.Status)
	}
	return nil
}
