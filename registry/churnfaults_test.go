package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/sqld"
)

// deafProxy passes everything on to a server, but loses the server's answer to as many changes as it is told to: it
// ends the connection when that answer comes.
type deafProxy struct {
	addr string
	lose atomic.Int64
	lost atomic.Int64
}

func startDeafProxy(t *testing.T, target string) *deafProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &deafProxy{addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(t.Context(), client, target)
		}
	}()
	return p
}

func (p *deafProxy) serve(ctx context.Context, client net.Conn, target string) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var deaf atomic.Bool
	go func() {
		defer server.Close()
		buf := make([]byte, 64<<10) // a whole request of this test
		for {
			n, err := client.Read(buf)
			if bytes.Contains(buf[:n], []byte("INSERT INTO sys_operation")) && p.lose.Add(-1) >= 0 {
				deaf.Store(true)
			}
			if _, werr := server.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 && deaf.Load() {
			p.lost.Add(1)
			return
		}
		if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// Promise: a change whose answer is lost, once or every time, is made once, and whoever asked for it hears that it is.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			srv := sqld.Start(t, sqld.Options{})
			p := startDeafProxy(t, srv.Addr())
			s := migrated(t, Options{URL: scheme + "://" + p.addr, AuthToken: srv.Token(nil)})
			for i, lose := range []int64{0, 1, 2, applyAttempts} {
				p.lost.Store(0)
				p.lose.Store(lose)
				slug := fmt.Sprintf("t%d", i)
				tenant, err := s.CreateTenant(t.Context(), operator, NewTenant{DocumentTenant: DocumentTenant{Slug: slug}})
				if err != nil || tenant.Slug != slug || tenant.Version != 1 {
					t.Errorf("%d answers lost: %+v, %v", lose, tenant, err)
				}
				if p.lost.Load() != lose {
					t.Errorf("%d answers were lost, not %d", p.lost.Load(), lose)
				}
				p.lose.Store(lose)
				if tenant, err = s.TransitionTenant(t.Context(), operator, slug, 1, Transition{Action: ActionSuspend}); err != nil || tenant.Version != 2 {
					t.Errorf("%d answers lost: %+v, %v", lose, tenant, err)
				}
				p.lose.Store(0)
				if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log WHERE subject = ?1`, slug); n != 2 {
					t.Errorf("%d answers lost: %d rows in the audit log", lose, n)
				}
			}
			sound(t, s)
			told(t, s)
		})
	}
}

// Promise: when the connection to the server is cut or hangs at any moment of a change, the answer is either that it is
// made, and it is, or one error that says that the registry was not there; it is made once or not at all, and as a whole.
func TestConnectionCutInChange(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			srv := sqld.Start(t, sqld.Options{})
			proxy := harness.StartProxy(t, srv.Addr())
			direct := migrated(t, Options{URL: srv.URL(), AuthToken: srv.Token(nil), Timeout: 30 * time.Second})
			s := migrated(t, Options{URL: scheme + "://" + proxy.Address, AuthToken: srv.Token(nil), Timeout: 300 * time.Millisecond})
			c := churner{s: s, r: rand.New(rand.NewPCG(3, 3))}
			for _, slug := range []string{"a", "b", "c", "d"} {
				newTenant(t, direct, slug)
			}
			made, failed := 0, 0
			for c.n = range 80 {
				hang := c.n%20 == 19
				delay, away := time.Duration(c.r.IntN(20_000))*time.Microsecond, time.Duration(c.r.IntN(60_000))*time.Microsecond
				cut := make(chan struct{})
				go func() {
					defer close(cut)
					time.Sleep(delay) // by chance, not for luck: the promise is about any moment
					if hang {
						proxy.Hang()
						return
					}
					proxy.Down()
					time.Sleep(away)
					proxy.Up(t)
				}()
				actor := Actor{ID: "churn", RequestID: fmt.Sprintf("cut-%d", c.n)}
				err := c.change(t.Context(), actor)
				<-cut
				if hang {
					proxy.Resume()
				}
				// The server may still be busy with what it was asked: a write waits for that.
				waitFor(t, func() bool { return try(t, direct, `UPDATE sys_registry SET one = one`) == nil })
				n := one[int](t, direct, `SELECT count(DISTINCT actor || request_id) FROM sys_audit_log WHERE request_id = ?1`, actor.RequestID)
				switch {
				case err == nil:
					if made++; n != 1 {
						t.Errorf("change %d was acknowledged, and is there %d times", c.n, n)
					}
				case errors.Is(err, ErrUnavailable) && Code(err) == CodeUnavailable:
					failed++
				case Code(err) == "" || n != 0:
					t.Errorf("change %d: %v, and is there %d times", c.n, err, n)
				}
				if t.Failed() {
					return
				}
			}
			sound(t, direct)
			told(t, direct)
			if made == 0 || failed == 0 {
				t.Errorf("%d were made, %d failed", made, failed)
			}
			t.Logf("%d were made, %d failed", made, failed)
			if n := one[int](t, direct, `SELECT count(*) FROM (SELECT request_id, action, subject FROM sys_audit_log WHERE request_id LIKE 'cut-%' GROUP BY 1, 2, 3 HAVING count(*) > 1)`); n != 0 {
				t.Errorf("%d changes were made twice", n)
			}
		})
	}
}
