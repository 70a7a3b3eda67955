package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/coder/websocket"
	dto "github.com/prometheus/client_model/go"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

// openStreams reads the gauge.
func openStreams(t *testing.T) float64 {
	t.Helper()
	var m dto.Metric
	if err := metricStreamsOpen.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

// Promise: a change that comes between a request's admission and the beginning of its stream is not overlooked, and a
// handler that returns as if nothing had happened does not make the client believe that it has it all.
func TestChangeBeforeTheStreamBegins(t *testing.T) {
	app := testApp(t)
	src := mapSource{"acme": acme(), acmeProd.String(): acme()}
	rt := app.runtime
	rt.cache = cache.New(src, cache.Options{})
	var loops sync.WaitGroup
	rt.streams.run(rt.ctx, &loops)
	defer loops.Wait()
	defer rt.cancel()
	h := testHandler(t, app, &Handler{}, &Subdomain{Patterns: []string{"{tenant}.app.test"}})
	returned := make(chan http.ResponseWriter, 1)
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		suspended := acme()
		suspended.Tenant.Status = registry.StatusSuspended
		src["acme"], src[acmeProd.String()] = suspended, suspended
		rt.cache.Purge()
		rt.streams.changed([]registry.Change{{Entity: "organization", Tenant: acmeID}})
		if n := openStreams(t); n != 0 {
			t.Errorf("%g streams are open before the first flush", n)
		}
		for {
			if _, err := io.WriteString(w, "more"); err != nil {
				break
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				break
			}
		}
		returned <- w
		return nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{}), next); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "acme.app.test"
	// The connection may be cut before the header is out.
	if res, err := streamClient.Do(r); err == nil {
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Error("the response looks whole")
		}
	} else if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	w := <-returned
	eventually(t, "no stream is open", func() bool { return openStreams(t) == 0 })
	// A late flush is a mistake of whoever does it, and must not bring the stream back.
	if sw := w.(*streamWriter); sw.begin() != noStream || openStreams(t) != 0 {
		t.Error("a stream has begun after its end")
	}
}

// Promise: a subscription that ends while a stream is open ends the stream, although nothing is written.
func TestSweep(t *testing.T) {
	s, _, db := streamServer(t)
	conn := s.dial(t, "acme.app.test", "/ws")
	over := time.Now().UTC().Add(time.Second).Truncate(time.Millisecond)
	harness.Exec(t, db, "UPDATE sys_organization SET subscription_expires_at = ? WHERE slug = 'acme'", over.Format("2006-01-02T15:04:05.000Z"))
	rt := theRuntime(t)
	eventually(t, "the change is seen", func() bool {
		res, err := rt.cache.Resolve(t.Context(), registry.Reference{Kind: registry.KindSlug, Key: "acme"}, time.Now())
		return err == nil && !res.Tenant.SubscriptionExpiresAt.IsZero()
	})
	ended := make(chan websocket.CloseError, 1)
	go func() { ended <- closeError(t, conn) }()
	eventually(t, "the end of the subscription", func() bool {
		rt.streams.sweep()
		select {
		case got := <-ended:
			if got.Reason != "subscription_expired" || time.Now().Before(over) {
				t.Errorf("closed with %v, %s after the end", got, time.Since(over))
			}
			return true
		default:
			return false
		}
	})
}

// Promise: what is still open when a reload names another registry is closed a while later, because nobody would notice
// a suspension any more.
func TestAbandonedStreams(t *testing.T) {
	u := newStreamUpstream(t)
	s := newServer(t)
	site := strings.Replace(streamSite, "dynamic tenant", "dynamic tenant\nstream_close_delay 1m", 1)
	s.mustLoad(s.fileRegistry(streamTenants(u)), site)
	conn := s.dial(t, "acme.app.test", "/ws")
	old := theRuntime(t)
	s.mustLoad("registry file:"+filepath.Join(s.dir, "other.db")+"\n", site)
	eventually(t, "the old runtime has ended", func() bool { return old.ctx.Err() != nil })
	if err := echoes(t.Context(), conn); err != nil {
		t.Errorf("closed at once: %v", err)
	}
	old.streams.abandon(0)
	if got := closeError(t, conn); got.Code != websocket.StatusGoingAway {
		t.Errorf("closed with %v, want 1001", got)
	}
}

// Promise: a change wakes the streams that it can be about, and not those of everybody else.
func TestTouchedStreams(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change registry.Change
		want   []string
	}{
		{"everything", registry.Change{Entity: "registry"}, []string{"acme", "globex"}},
		{"a tenant", registry.Change{Entity: "organization", Tenant: acmeID, Key: "acme"}, []string{"acme"}},
		{"an environment", registry.Change{Entity: "environment", Environment: globexEnv}, []string{"globex"}},
		{"a member", registry.Change{Entity: "environment_member", Tenant: globexID, Environment: globexEnv, Key: "u1"}, []string{"globex"}},
		{"a plan", registry.Change{Entity: "plan", Key: "free"}, []string{"globex"}},
		{"another plan", registry.Change{Entity: "plan", Key: "enterprise"}, nil},
		{"a session of nobody here", registry.Change{Entity: "session", Tenant: acmeID, Key: strings.Repeat("0", 64)}, nil},
		{"an unknown key, without its tenant", registry.Change{Entity: "session", Key: strings.Repeat("0", 64)}, nil},
		{"the name that led there", registry.Change{Entity: "session", Key: "globex"}, []string{"globex"}},
		{"something new without ids", registry.Change{Entity: "future"}, []string{"acme", "globex"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := testApp(t, acme(), globex())
			h := testHandler(t, app, &Handler{}, &Subdomain{Patterns: []string{"{tenant}.app.test"}})
			release := make(chan struct{})
			var running sync.WaitGroup
			for _, slug := range []string{"acme", "globex"} {
				began := make(chan struct{})
				running.Go(func() {
					w, r := testRequest(http.MethodGet, "http://"+slug+".app.test/", nil)
					err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
						err := http.NewResponseController(w).Flush()
						close(began)
						<-release
						return err
					}))
					if err != nil {
						t.Error(err)
					}
				})
				<-began
			}
			set := app.runtime.streams
			set.changed([]registry.Change{tt.change, tt.change})
			var got []string
			for s := set.dequeue(); s != nil; s = set.dequeue() {
				got = append(got, s.state.decision.Resolved.Tenant.Slug)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("woke %q, want %q", got, tt.want)
			}
			close(release)
			running.Wait()
			set.sweep()
			if s := set.dequeue(); s != nil {
				t.Error("a stream is known whose handler has returned")
			}
		})
	}
}

// Promise: a stream that waits in one queue is moved up by a change, and is asked about once.
func TestStreamQueues(t *testing.T) {
	set := newStreams(nil)
	list := make([]*stream, 3)
	for i := range list {
		list[i] = &stream{}
		set.enqueue(list[i], queuedRoutine)
	}
	set.enqueue(list[0], queuedUrgent)
	set.enqueue(list[0], queuedRoutine)
	got := map[*stream]int{}
	if s := set.dequeue(); s != list[0] {
		t.Error("the urgent one is not the first")
	} else {
		got[s]++
	}
	for s := set.dequeue(); s != nil; s = set.dequeue() {
		got[s]++
	}
	for i, s := range list {
		if got[s] != 1 {
			t.Errorf("stream %d came %d times", i, got[s])
		}
	}
	set.enqueue(list[1], queuedLater)
	set.enqueue(list[2], queuedLater)
	set.enqueue(list[2], queuedUrgent)
	if s := set.dequeue(); s != list[2] {
		t.Error("a stream that is to be asked about later cannot be asked about now")
	}
	if s := set.dequeue(); s != nil {
		t.Error("the pause was not kept")
	}
	set.retry()
	if s := set.dequeue(); s != list[1] || set.dequeue() != nil {
		t.Error("after the pause the others are not asked about")
	}
}

// Promise: whoever wants to know of changes is told of each, until it does not want to any more.
func TestOnChanges(t *testing.T) {
	rt := newRuntime(cache.Options{})
	defer rt.cancel()
	var told []string
	listen := func(name string) (remove func()) {
		return rt.onChanges(func(changes []registry.Change) { told = append(told, fmt.Sprintf("%s %d", name, len(changes))) })
	}
	removeFirst, removeSecond := listen("first"), listen("second")
	rt.changed(make([]registry.Change, 2))
	removeFirst()
	removeFirst()
	rt.changed(make([]registry.Change, 1))
	removeSecond()
	rt.changed(make([]registry.Change, 1))
	if want := []string{"first 2", "second 2", "second 1"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
