package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What runs as shipped has the settings that it gives itself, not those of the shell that started the benchmark.
func TestOwnEnviron(t *testing.T) {
	t.Setenv("GOGC", "50")
	t.Setenv("GOMEMLIMIT", "1GiB")
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv("GODEBUG", "gctrace=1")
	t.Setenv("GOGCX", "kept")
	got := ownEnviron()
	for _, v := range got {
		for _, name := range []string{"GOGC=", "GOMEMLIMIT=", "GOMAXPROCS=", "GODEBUG="} {
			if strings.HasPrefix(v, name) {
				t.Errorf("a server would have %s", v)
			}
		}
	}
	if !slices.Contains(got, "GOGCX=kept") || len(got) != len(os.Environ())-4 {
		t.Errorf("%d of %d variables are left", len(got), len(os.Environ()))
	}
}

// The program is its own upstream and auth service, and takes nothing else for that.
func TestOwnServer(t *testing.T) {
	for args, want := range map[string]bool{
		"upstream 127.0.0.1:1": true, "auth 127.0.0.1:1 file": true,
		"upstream": false, "auth 127.0.0.1:1": false, "-rounds 3": false, "upstream 127.0.0.1:1 -rounds": false, "": false,
	} {
		if got := ownServer(strings.Fields(args)) != nil; got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
	if err := ownServer([]string{"auth", "127.0.0.1:0", t.TempDir() + "/none"})(t.Context()); err == nil {
		t.Error("an auth service without its file: no error")
	}
}

// How many tenants a gateway has in its cache is what its admin endpoint says.
func TestCachedTenants(t *testing.T) {
	var answer atomic.Value
	answer.Store(`{"hits":5,"entries":1234,"size":2000}`)
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/tenants/_cache" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer.Load().(string))
	}))
	defer admin.Close()
	address := strings.TrimPrefix(admin.URL, "http://")
	if got, err := cachedTenants(t.Context(), address); err != nil || got != 1234 {
		t.Errorf("got %d, %v, want 1234", got, err)
	}
	answer.Store("404 page not found")
	if got, err := cachedTenants(t.Context(), address); err == nil {
		t.Errorf("got %d, want an error", got)
	}
}

// What a candidate is asked for is what wrk will ask: the same name, the same token, the same path; and what arrives
// upstream is compared before anything is measured.
func TestCandidateCheck(t *testing.T) {
	facts := someFacts()[:1]
	_, tokens, err := writeTokens(t.TempDir(), 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	token, err := lineOf(tokens, 0)
	if err != nil {
		t.Fatal(err)
	}
	var injects atomic.Bool
	injects.Store(true)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "t0000000.bench.test" || r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path == echoPath {
			_, _ = io.WriteString(w, "GET /echo HTTP/1.1\r\nHost: a\r\n")
			for _, h := range facts[0].Headers {
				if injects.Load() {
					_, _ = io.WriteString(w, h.Name+": "+h.Value+"\r\n")
				}
			}
			_, _ = io.WriteString(w, "\r\n")
		}
	}))
	defer proxy.Close()
	server := &process{server: server{Name: "proxy", Address: strings.TrimPrefix(proxy.URL, "http://")}}
	good := candidate{
		Name: "good", Server: server, Hosts: hostNames{tenantHosts, 1}, Status: http.StatusOK, Tokens: tokens, Upstream: facts,
	}
	if err := good.check(t.Context()); err != nil {
		t.Error(err)
	}
	withoutToken, otherStatus := good, good
	withoutToken.Tokens = ""
	otherStatus.Upstream, otherStatus.Status = nil, http.StatusTooManyRequests
	for name, c := range map[string]candidate{"without its token": withoutToken, "of another status": otherStatus} {
		if err := c.check(t.Context()); err == nil {
			t.Errorf("a candidate %s: no error", name)
		}
	}
	injects.Store(false)
	if err := good.check(t.Context()); err == nil || !strings.Contains(err.Error(), "X-Tenant-ID") {
		t.Errorf("a peer that sends nothing upstream: %v", err)
	}
}
