package adminapi_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// Promise: who makes a change is the subject of a verified client certificate, whatever X-Actor says; without one it is
// X-Actor. A certificate that nobody verified proves nothing.
func TestActor(t *testing.T) {
	w := newWorld(t)
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "deploy", Organization: []string{"Ops"}}}
	long := &x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("ü", 400)}}
	for i, tt := range []struct {
		state       *tls.ConnectionState
		header      string
		actor, kind string
	}{
		{nil, "", "admin", "local"},
		{nil, "alice", "alice", "local"},
		{&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}}, "alice", "CN=deploy,O=Ops", "certificate"},
		{&tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}, "alice", "alice", "local"},
		{&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}, "", "a certificate without a subject", "certificate"},
		{&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{long}}}, "", "CN=" + strings.Repeat("ü", 252), "certificate"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/tenants", strings.NewReader(`{"slug": "t`+string(rune('a'+i))+`"}`))
		r.TLS, r.RemoteAddr = tt.state, "10.0.0.7:1234"
		r.Header.Set("X-Request-Id", "req-1")
		if tt.header != "" {
			r.Header.Set("X-Actor", tt.header)
		}
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		if rec.Code != http.StatusCreated || rec.Header().Get("X-Request-Id") != "req-1" {
			t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
		e := into[adminapi.List[registry.AuditEntry]](t, w.want(200, "GET", "/tenants/_audit?limit=1", "")).Items[0]
		if e.Actor != tt.actor || e.ActorKind != tt.kind || e.RequestID != "req-1" || e.RemoteAddr != "10.0.0.7" {
			t.Errorf("audit: %+v, want %s %s", e, tt.kind, tt.actor)
		}
	}
	// An id that nobody should have to read is replaced.
	if id := w.want(200, "GET", "/tenants", "", "X-Request-Id", "a b\n").Header.Get("X-Request-Id"); len(id) != 36 {
		t.Errorf("request id %q", id)
	}
}

// Promise: what is not foreseen is told to the log, and not to the client; neither is a body.
func TestFailuresAreLogged(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	w.api = newAPI(t, adminapi.Options{
		Backend: adminapi.Fixed(adminapi.Backend{Store: w.store}),
		Random:  strings.NewReader(""), Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	// There is no randomness for a key.
	p := w.refused(500, adminapi.CodeInternal, "", "POST", "/tenants/acme/environments/production/api-keys", `{"name": "very private"}`)
	if strings.Contains(p.Detail, "EOF") || !strings.Contains(log.String(), p.Instance) || !strings.Contains(log.String(), "EOF") || strings.Contains(log.String(), "private") {
		t.Errorf("%+v; log: %s", p, &log)
	}
}
