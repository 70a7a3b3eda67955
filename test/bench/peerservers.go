package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/redis/rueidis"
)

// peerSetup says how a peer that is no Caddy runs.
type peerSetup struct {
	// Name is the server's.
	Name string
	// Cores are those that it runs on.
	Cores coreSet
	// Upstream is where it forwards to.
	Upstream string
	// Tenants are those that it knows.
	Tenants []tenantFacts
}

// config returns what the peer's template is filled with, and makes the peer's directory.
func (b *bench) config(s peerSetup) (peerConfig, error) {
	home, err := b.home(s.Name)
	return peerConfig{
		Address: b.address(b.port()), Upstream: s.Upstream, Threads: len(s.Cores), Home: home, Tenants: s.Tenants,
		Modules: nginxModules,
	}, err
}

// nginx starts nginx with limit_req.
func (b *bench) nginx(ctx context.Context, s peerSetup) (*process, error) {
	c, err := b.config(s)
	if err != nil {
		return nil, err
	}
	return b.startNginx(ctx, s, c, "nginx-limit-req.conf")
}

// nginxLua starts nginx with Lua, and a Redis that knows the tenants.
func (b *bench) nginxLua(ctx context.Context, s peerSetup) (*process, error) {
	address, err := b.redis(ctx, s)
	if err != nil {
		return nil, err
	}
	c, err := b.config(s)
	if err != nil {
		return nil, err
	}
	if c.RedisHost, c.RedisPort, err = net.SplitHostPort(address); err != nil {
		return nil, err
	}
	return b.startNginx(ctx, s, c, "nginx-lua-redis.conf")
}

// startNginx starts nginx with a template.
func (b *bench) startNginx(ctx context.Context, s peerSetup, c peerConfig, template string) (*process, error) {
	file := filepath.Join(c.Home, "nginx.conf")
	if err := c.renderTo(file, template); err != nil {
		return nil, err
	}
	return b.start(ctx, server{
		Name: s.Name, Command: []string{b.tools.Nginx, "-e", "stderr", "-p", c.Home, "-c", file}, Cores: s.Cores, Address: c.Address,
	})
}

// haproxy starts HAProxy with a stick table.
func (b *bench) haproxy(ctx context.Context, s peerSetup) (*process, error) {
	c, err := b.config(s)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(c.Home, "tenants.map"), []byte(haproxyMap(s.Tenants)), 0o644); err != nil {
		return nil, err
	}
	file := filepath.Join(c.Home, "haproxy.cfg")
	if err := c.renderTo(file, "haproxy.cfg"); err != nil {
		return nil, err
	}
	return b.start(ctx, server{
		Name: s.Name, Command: []string{b.tools.HAProxy, "-q", "-db", "-f", file}, Cores: s.Cores, Address: c.Address,
	})
}

// redis starts a Redis that knows the tenants, and returns its address. Like the upstream it is another's work: it runs on
// the upstream's cores, and its time is not charged to the proxy that asks it.
func (b *bench) redis(ctx context.Context, s peerSetup) (string, error) {
	home, err := b.home(s.Name + "-redis")
	if err != nil {
		return "", err
	}
	p, err := b.start(ctx, server{
		Name: s.Name + "-redis",
		Command: []string{
			b.tools.Redis, "--bind", "127.0.0.1", "--port", strconv.Itoa(b.Port + b.port()), "--dir", home, "--save", "", "--appendonly", "no",
		},
		Cores: b.cores.Upstream, Address: b.address(b.port()),
	})
	if err != nil {
		return "", err
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{p.Address}, DisableCache: true})
	if err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	defer client.Close()
	for _, tenant := range s.Tenants {
		fields := client.B().Hset().Key("tenant:"+tenant.Slug).FieldValue().FieldValue("limit", strconv.FormatInt(tenant.PerMinute, 10))
		for _, h := range tenant.Headers {
			fields = fields.FieldValue(h.Name, h.Value)
		}
		if err := client.Do(ctx, fields.Build()).Error(); err != nil {
			return "", fmt.Errorf("redis: %w", err)
		}
	}
	return p.Address, nil
}

// auth starts the service that forward_auth asks, on the upstream's cores, and returns its address.
func (b *bench) auth(ctx context.Context, tenants []tenantFacts) (string, error) {
	text, err := json.Marshal(tenants)
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.runDir, "auth.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return "", err
	}
	address := b.address(b.port())
	_, err = b.start(ctx, server{
		Name: "auth", Command: []string{b.program, "auth", address, file}, Cores: b.cores.Upstream, Address: address,
		Env: []string{"GOMAXPROCS=" + strconv.Itoa(len(b.cores.Upstream)), "GOGC=400"},
	})
	return address, err
}
