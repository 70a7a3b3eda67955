package caddymodule

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const (
	// checkTimeout bounds one connection of a check.
	checkTimeout = 2 * time.Second
	// checksAtOnce bounds the connections that are open at once.
	checksAtOnce = 16
)

// upstreams connects to every upstream of the registry and the configuration, and sends nothing.
func (d *doctor) upstreams(ctx context.Context, c *census) {
	if d.config != nil {
		for name, list := range d.config.Apps.Tenants.Pools {
			c.note(list, "pool "+name)
		}
		c.note(d.config.Apps.Tenants.Upstreams, "the configuration")
	}
	var (
		mu   sync.Mutex
		bad  []string
		wait sync.WaitGroup
		slot = make(chan struct{}, checksAtOnce)
	)
	for address, who := range c.addresses {
		slot <- struct{}{}
		wait.Go(func() {
			defer func() { <-slot }()
			if err := reach(ctx, address); err != nil {
				mu.Lock()
				defer mu.Unlock()
				bad = append(bad, fmt.Sprintf("%s of %s (%v)", address, who, err))
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return
	}
	if len(bad) > 0 {
		d.add(findingError, "upstreams", "start them, or correct the address with tenantgate environment update or tenantgate tenant update",
			"no connection to %s", some(bad))
	} else {
		d.add(findingOK, "upstreams", "", "%d take connections", len(c.addresses))
	}
	if len(c.addresses) == maxAddresses {
		d.add(findingNote, "upstreams", "", "only the first %d were tried", maxAddresses)
	}
}

// reach connects and closes at once. Its error does not repeat the address.
func reach(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{Timeout: checkTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return plainDial(err)
	}
	return conn.Close()
}

// plainDial is an error of dialling without the address.
func plainDial(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return errors.New("no answer in time")
		}
		return op.Err
	}
	return err
}

// redis asks every Redis of the configuration whether it is one. It sends no password: an answer that demands one will do.
func (d *doctor) redis(ctx context.Context) {
	q := d.config.Apps.Tenants.Quota
	if q == nil || q.URL == "" {
		return
	}
	const advice = "check that Redis runs and can be reached from here: till then each gateway decides quotas by itself"
	address, err := caddy.NewReplacer().ReplaceOrErr(q.URL, true, true)
	if err != nil {
		d.add(findingError, "redis", "set what the placeholder stands for", "a placeholder in its URL is unknown or empty")
		return
	}
	scheme, rest, _ := strings.Cut(address, "://")
	if !slices.Contains([]string{"redis", "rediss"}, scheme) {
		d.add(findingError, "redis", "write redis://HOST:PORT, or rediss:// for TLS", "its URL has the wrong scheme")
		return
	}
	hosts, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndex(hosts, "@"); i >= 0 {
		hosts = hosts[i+1:] // never shown: a password may stand before it
	}
	for host := range strings.SplitSeq(hosts, ",") {
		u := url.URL{Host: host}
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), "6379")
		}
		if err := pingRedis(ctx, host, scheme == "rediss"); err != nil {
			d.add(findingError, "redis", advice, "%s: %v", host, err)
			continue
		}
		d.add(findingOK, "redis", "", "%s answers", host)
	}
}

// pingRedis sends an inline PING, which every version knows; each reply of the protocol will do.
func pingRedis(ctx context.Context, address string, secure bool) error {
	conn, err := (&net.Dialer{Timeout: checkTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return plainDial(err)
	}
	defer func() { _ = conn.Close() }() // all was read
	if err := conn.SetDeadline(time.Now().Add(checkTimeout)); err != nil {
		return err
	}
	if secure {
		// Whom the certificate belongs to is for the gateway to check, which knows the authority; here only an answer counts,
		// and nothing secret is sent.
		t := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true})
		if err := t.HandshakeContext(ctx); err != nil {
			return errors.New("no TLS there")
		}
		conn = t
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return errors.New("it takes connections and no commands")
	}
	reply := make([]byte, 1)
	if _, err := io.ReadFull(conn, reply); err != nil {
		return errors.New("it takes connections and does not answer")
	}
	if reply[0] != '+' && reply[0] != '-' {
		return errors.New("it answers, and is no Redis")
	}
	return nil
}
