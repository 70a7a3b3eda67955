package domains_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/domains"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

const (
	host  = "app.acme.test"
	token = "abcdefghijklmnopqrstuvwxyz0"
)

// verifier makes a verifier that asks the test's name server.
func verifier(t testing.TB, ns *harness.DNS, o domains.Options) *domains.Verifier {
	t.Helper()
	r, err := domains.NewResolver(ns.Address)
	if err != nil {
		t.Fatal(err)
	}
	o.Resolver = r
	v, err := domains.NewVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Promise: the right TXT record proves a claim, among others and in several strings; nothing else does.
func TestDNS(t *testing.T) {
	ns := harness.StartDNS(t)
	v := verifier(t, ns, domains.Options{Methods: []registry.DomainMethod{registry.DomainDNS}})
	proof, name := domains.Proof(token), domains.RecordName(host)
	many := []string{proof}
	for i := range 40 { // more than a datagram holds
		many = append([]string{fmt.Sprintf("other-%d %s", i, strings.Repeat("x", 200))}, many...)
	}
	for _, tt := range []struct {
		name string
		set  func()
		says string // empty: proved
	}{
		{"no such name", func() {}, "no such record"},
		{"other records", func() { ns.SetTXT(name, "v=spf1 -all", token) }, "no TXT record"},
		{"another token", func() { ns.SetTXT(name, domains.Proof("x"+token[1:])) }, "no TXT record"},
		{"the token within more", func() { ns.SetTXT(name, proof+" "+proof) }, "no TXT record"},
		{"an empty record", func() { ns.SetTXT(name, "") }, "no TXT record"},
		{"an address only", func() { ns.SetAddresses(name, "127.0.0.1") }, "no such record"},
		{"at the name itself", func() { ns.SetTXT(host, proof) }, "no such record"},
		{"the proof", func() { ns.SetTXT(name, proof) }, ""},
		{"the proof among others", func() { ns.SetTXT(name, "v=spf1 -all", proof) }, ""},
		{"in several strings", func() { ns.SetTXTStrings(name, proof[:10], proof[10:20], proof[20:]) }, ""},
		{"too many for a datagram", func() { ns.SetTXT(name, many...) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.set()
			method, err := v.Check(t.Context(), host, token)
			if tt.says == "" {
				if err != nil || method != registry.DomainDNS {
					t.Errorf("got %q, %v", method, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("got %q, %v", method, err)
			}
		})
	}
	if _, err := v.Check(t.Context(), strings.Repeat("a.", 120)+"example.test", token); err == nil {
		t.Error("a name that is too long with its label was proved")
	}
}

// Promise: a name server that does not answer costs a check its timeout and no more.
func TestDNSTimeout(t *testing.T) {
	ns := harness.StartDNS(t)
	ns.Silence(true)
	v := verifier(t, ns, domains.Options{Timeout: 200 * time.Millisecond})
	began := time.Now()
	_, err := v.Check(t.Context(), host, token)
	if err == nil || !strings.Contains(err.Error(), "DNS: the name servers did not answer in time; HTTP: ") || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Check(ctx, host, token); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// webServer is a customer's web server; it returns its port.
func webServer(t testing.TB, h http.HandlerFunc) int {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Promise: a web server at the name that answers with the proof and nothing else proves a claim; one that repeats what
// it was asked for, redirects elsewhere, never ends or answers otherwise does not, and the claimant is told no address.
func TestHTTP(t *testing.T) {
	ns := harness.StartDNS(t)
	ns.SetAddresses(host, "127.0.0.1")
	ns.SetAddresses("other.test", "127.0.0.1")
	var serve atomic.Value
	port := webServer(t, func(w http.ResponseWriter, r *http.Request) { serve.Load().(http.HandlerFunc)(w, r) })
	v := verifier(t, ns, domains.Options{
		Methods: []registry.DomainMethod{registry.DomainHTTP}, HTTPPort: port, AllowPrivate: true, Timeout: 2 * time.Second,
	})
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Host == fmt.Sprintf("%s:%d", host, port) && r.URL.Path == domains.TokenPath+token {
				http.Redirect(w, r, to, http.StatusFound)
				return
			}
			io.WriteString(w, domains.Proof(token))
		}
	}
	for _, tt := range []struct {
		name  string
		serve http.HandlerFunc
		says  string
	}{
		{"the proof", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/.well-known/tenantgate/"+token || r.Host != fmt.Sprintf("%s:%d", host, port) {
				t.Errorf("asked for %s at %s", r.URL, r.Host)
			}
			io.WriteString(w, domains.Proof(token)+"\r\n")
		}, ""},
		{"a redirect within the name", redirect("/elsewhere"), ""},
		{"a redirect to another name", redirect(fmt.Sprintf("http://other.test:%d/", port)), "redirects"},
		{"a redirect to an address", redirect(fmt.Sprintf("http://127.0.0.1:%d/", port)), "redirects"},
		{"a redirect to another port", redirect("http://" + host + ":22/"), "redirects"},
		{"a redirect to another scheme", redirect("gopher://" + host + "/"), "redirects"},
		{"a redirect with a user", redirect(fmt.Sprintf("http://u:p@%s:%d/", host, port)), "redirects"},
		{"a circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects"},
		{"an echo", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.TrimPrefix(r.URL.Path, domains.TokenPath))
		}, "something else"},
		{"not found", http.NotFound, "status 404"},
		{"the proof with another status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, domains.Proof(token))
		}, "status 202"},
		{"more than the proof", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, domains.Proof(token)+"<html>") }, "something else"},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, "something else"},
		{"without end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "something else"},
		{"a huge header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			io.WriteString(w, domains.Proof(token))
		}, "no web server"},
		{"too slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "in time"},
		{"closes", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no web server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serve.Store(tt.serve)
			method, err := v.Check(t.Context(), host, token)
			if tt.says == "" {
				if err != nil || method != registry.DomainHTTP {
					t.Errorf("got %q, %v", method, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("got %q, %v", method, err)
			}
		})
	}
}

// Promise: unless it is allowed, no connection is made to what is not public, whatever the name says and however often.
func TestHTTPPrivate(t *testing.T) {
	ns := harness.StartDNS(t)
	port := webServer(t, func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a private address was asked")
		io.WriteString(w, domains.Proof(token))
	})
	v := verifier(t, ns, domains.Options{Methods: []registry.DomainMethod{registry.DomainHTTP}, HTTPPort: port})
	for _, addresses := range [][]string{{"127.0.0.1"}, {"::1"}, {"::ffff:127.0.0.1"}, {"0.0.0.0"}, {"10.0.0.1", "127.0.0.1", "169.254.169.254"}} {
		ns.SetAddresses(host, addresses...)
		_, err := v.Check(t.Context(), host, token)
		if err == nil || err.Error() != "HTTP: the name leads to an address that is not public" {
			t.Errorf("%v: %v", addresses, err)
		}
	}
}

// Promise: bad options and bad addresses of name servers are refused.
func TestOptions(t *testing.T) {
	for _, o := range []domains.Options{
		{Methods: []registry.DomainMethod{}},
		{Methods: []registry.DomainMethod{registry.DomainOperator}},
		{Methods: []registry.DomainMethod{registry.DomainDNS, registry.DomainDNS}},
		{Timeout: -1},
		{HTTPPort: -1},
		{HTTPPort: 65536},
	} {
		if _, err := domains.NewVerifier(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	for _, address := range []string{"ns.example.com", "ns.example.com:53", "127.0.0.1:0", "127.0.0.1:x", ":53", "fe80::1%lo", "127.0.0.1:70000"} {
		if _, err := domains.NewResolver(address); err == nil {
			t.Errorf("%s was taken", address)
		}
	}
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:53"} {
		if _, err := domains.NewResolver(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
