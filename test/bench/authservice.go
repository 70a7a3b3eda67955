package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// serveAuth is the service that forward_auth asks: it finds the tenant by host name in a file of [tenantFacts], counts its
// requests by the minute, and answers 404, 429, or 200 with the headers that go upstream. It runs until ctx ends.
func serveAuth(ctx context.Context, address, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	var tenants []tenantFacts
	if err := json.Unmarshal(text, &tenants); err != nil {
		return fmt.Errorf("auth: %s: %w", file, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	server := &http.Server{Handler: newAuthService(tenants, time.Now), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

// authService answers for the tenants that it knows.
type authService struct {
	accounts map[string]*authAccount // by slug
	now      func() time.Time
}

// authAccount is a tenant with what it has used.
type authAccount struct {
	tenantFacts
	// used holds the minute since 1970 in the upper and the requests in it in the lower 32 bits.
	used atomic.Uint64
}

// newAuthService returns a service that knows these tenants.
func newAuthService(tenants []tenantFacts, now func() time.Time) *authService {
	s := &authService{accounts: make(map[string]*authAccount, len(tenants)), now: now}
	for _, tenant := range tenants {
		s.accounts[tenant.Slug] = &authAccount{tenantFacts: tenant}
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *authService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Header.Get("X-Forwarded-Host")
	slug, ours := strings.CutSuffix(host, "."+domain)
	account := s.accounts[slug]
	if !ours || account == nil {
		http.Error(w, "unknown tenant", http.StatusNotFound)
		return
	}
	now := s.now()
	if !account.spend(now) {
		w.Header().Set("Retry-After", strconv.Itoa(60-now.Second()))
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	for _, h := range account.Headers {
		w.Header().Set(h.Name, h.Value)
	}
	w.WriteHeader(http.StatusOK)
}

// spend counts a request in the minute of now, and tells whether it may pass.
func (a *authAccount) spend(now time.Time) bool {
	minute := uint64(now.Unix()/60) << 32
	for {
		old := a.used.Load()
		next := old + 1
		if old>>32 != minute>>32 {
			next = minute + 1
		}
		if int64(next&(1<<32-1)) > a.PerMinute {
			return false
		}
		if a.used.CompareAndSwap(old, next) {
			return true
		}
	}
}
