package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/sqld"
)

// lifecycleKeys seal what callLifecycle stores, where it comes so far.
var lifecycleKeys = func() *Keyring {
	key, err := NewSecretKey("k", strings.Repeat("5a6b", 16))
	if err != nil {
		panic(err)
	}
	ring, err := NewKeyring(key)
	if err != nil {
		panic(err)
	}
	return ring
}()

// callLifecycle is callAll for changes and lists.
func callLifecycle(ctx context.Context, s *Store, each func(name string, call func() error)) {
	s.keys = lifecycleKeys
	expires := time.Now().Add(time.Hour)
	secret := KeySecret{Hash: strings.Repeat("a", 64)}
	id := "0190a000-0000-7000-8000-000000000001"
	for name, call := range map[string]func() error{
		"CreateTenant": func() error {
			_, err := s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: "acme"}})
			return err
		},
		"UpdateTenant": func() error { _, err := s.UpdateTenant(ctx, operator, "acme", 0, TenantPatch{Name: "x"}); return err },
		"TransitionTenant": func() error {
			_, err := s.TransitionTenant(ctx, operator, "acme", 0, Transition{Action: ActionSuspend})
			return err
		},
		"DestroyTenant":          func() error { return s.DestroyTenant(ctx, operator, "acme", 0, "acme") },
		"GetTenant":              func() error { _, err := s.GetTenant(ctx, "acme"); return err },
		"ListTenants":            func() error { _, _, err := s.ListTenants(ctx, TenantFilter{}); return err },
		"TenantAliases":          func() error { _, err := s.TenantAliases(ctx, "acme"); return err },
		"EnvironmentAliases":     func() error { _, err := s.EnvironmentAliases(ctx, "acme", "dev"); return err },
		"RemoveTenantAlias":      func() error { return s.RemoveTenantAlias(ctx, operator, "acme", "old") },
		"RemoveEnvironmentAlias": func() error { return s.RemoveEnvironmentAlias(ctx, operator, "acme", "dev", "old") },
		"CreateEnvironment": func() error {
			_, err := s.CreateEnvironment(ctx, operator, "acme", NewEnvironment{DocumentEnvironment: DocumentEnvironment{Slug: "dev"}})
			return err
		},
		"UpdateEnvironment": func() error {
			_, err := s.UpdateEnvironment(ctx, operator, "acme", "dev", 0, EnvironmentPatch{Name: "x"})
			return err
		},
		"TransitionEnvironment": func() error {
			_, err := s.TransitionEnvironment(ctx, operator, "acme", "dev", 0, Transition{Action: ActionSuspend})
			return err
		},
		"MakeDefault":        func() error { _, err := s.MakeDefault(ctx, operator, "acme", "dev", 0); return err },
		"DestroyEnvironment": func() error { return s.DestroyEnvironment(ctx, operator, "acme", "dev", 0, "") },
		"GetEnvironment":     func() error { _, err := s.GetEnvironment(ctx, "acme", ""); return err },
		"ListEnvironments":   func() error { _, _, err := s.ListEnvironments(ctx, "acme", EnvironmentFilter{}); return err },
		"AddMember": func() error {
			_, err := s.AddMember(ctx, operator, "acme", "", NewMember{UserID: "u", Role: "env_user"})
			return err
		},
		"SetMemberRole": func() error { _, err := s.SetMemberRole(ctx, operator, "acme", "", "u", "env_user", 0); return err },
		"RemoveMember":  func() error { return s.RemoveMember(ctx, operator, "acme", "", "u", 0) },
		"GetMember":     func() error { _, err := s.GetMember(ctx, "acme", "", "u"); return err },
		"ListMembers":   func() error { _, _, err := s.ListMembers(ctx, "acme", "", MemberFilter{}); return err },
		"CreateAPIKey": func() error {
			_, err := s.CreateAPIKey(ctx, operator, "acme", "", NewAPIKey{Name: "k", KeySecret: secret})
			return err
		},
		"RevokeAPIKey": func() error { _, err := s.RevokeAPIKey(ctx, operator, "acme", "", id, 0); return err },
		"RotateAPIKey": func() error { _, err := s.RotateAPIKey(ctx, operator, "acme", "", id, 0, secret, 0); return err },
		"GetAPIKey":    func() error { _, err := s.GetAPIKey(ctx, "acme", "", id); return err },
		"ListAPIKeys":  func() error { _, _, err := s.ListAPIKeys(ctx, "acme", "", Page{}); return err },
		"CreateDatabaseCredential": func() error {
			_, err := s.CreateDatabaseCredential(ctx, operator, "acme", "", NewDatabaseCredential{Secret: "private"})
			return err
		},
		"RotateDatabaseCredential": func() error {
			_, err := s.RotateDatabaseCredential(ctx, operator, "acme", "", id, 0, "private", time.Time{})
			return err
		},
		"RevokeDatabaseCredential":  func() error { _, err := s.RevokeDatabaseCredential(ctx, operator, "acme", "", id, 0); return err },
		"RevealDatabaseCredential":  func() error { _, _, err := s.RevealDatabaseCredential(ctx, operator, "acme", "", id, 0); return err },
		"GetDatabaseCredential":     func() error { _, err := s.GetDatabaseCredential(ctx, "acme", "", id); return err },
		"ListDatabaseCredentials":   func() error { _, _, err := s.ListDatabaseCredentials(ctx, "acme", "", Page{}); return err },
		"ResealDatabaseCredentials": func() error { _, err := s.ResealDatabaseCredentials(ctx, operator, Page{}); return err },
		"SecretKeyUses":             func() error { _, err := s.SecretKeyUses(ctx); return err },
		"PutPlan":                   func() error { _, _, err := s.PutPlan(ctx, operator, DocumentPlan{Name: "p"}, 0); return err },
		"DeletePlan":                func() error { return s.DeletePlan(ctx, operator, "p", 0, false) },
		"GetPlan":                   func() error { _, err := s.GetPlan(ctx, "p"); return err },
		"ListPlans":                 func() error { _, _, err := s.ListPlans(ctx, Page{}); return err },
		"CreateSession": func() error {
			_, err := s.CreateSession(ctx, operator, NewSession{Hash: secret.Hash, UserID: "u", Tenant: "acme", ExpiresAt: expires})
			return err
		},
		"RevokeSession":   func() error { return s.RevokeSession(ctx, operator, secret.Hash) },
		"ListAudit":       func() error { _, _, err := s.ListAudit(ctx, AuditFilter{}); return err },
		"TrimAudit":       func() error { _, err := s.TrimAudit(ctx, time.Now(), 0); return err },
		"TrimAliases":     func() error { _, err := s.TrimAliases(ctx, time.Now()); return err },
		"CheckInvariants": func() error { _, err := s.CheckInvariants(ctx); return err },
	} {
		each(name, call)
	}
}

// Promise: a server that hangs, is down, refuses the token or answers nonsense is one error in every change and list, in
// bounded time, that says nothing about the data and shows no token.
func TestLifecycleFaults(t *testing.T) {
	t.Parallel()
	const token, timeout = "hunter2hunter2", 20 * time.Millisecond
	srv := sqld.Start(t, sqld.Options{})
	type server struct {
		url     string
		timeout time.Duration
		want    string
	}
	servers := map[string]server{
		"token http": {srv.URL(), 0, "auth_token"},
		"token ws":   {srv.WSURL(), 0, "auth_token"},
		"hung http":  {"http://" + hungServer(t).String(), timeout, "no answer within"},
		"down http":  {"http://127.0.0.1:1", 0, "connection refused"},
		"down ws":    {"ws://127.0.0.1:1", 0, "connection refused"},
	}
	for name, body := range map[string]string{
		"no JSON": "<html>", "no results": `{"results": []}`,
		"wrong types":  `{"baton": null, "results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": 7}}}]}`,
		"short row":    `{"results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": [{"name": "a"}], "rows": [[]], "affected_row_count": 0}}}]}`,
		"other row":    `{"results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": [{"name": "a"}], "rows": [[{"type": "text", "value": "7"}]], "affected_row_count": 0}}}]}`,
		"other values": `{"results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": [{"name": "a"}], "rows": [[{"type": "integer", "value": 7}]], "affected_row_count": 0}}}]}`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		t.Cleanup(s.Close)
		servers[name] = server{s.URL, 0, ""}
	}
	for name, server := range servers {
		s := opened(t, Options{URL: server.url, AuthToken: token, Timeout: server.timeout})
		s.ready.Store(true)
		callLifecycle(t.Context(), s, func(method string, call func() error) {
			begin := time.Now()
			err := call()
			if err == nil && strings.HasPrefix(method, "Trim") && server.want == "" {
				return // for a DELETE, this is sense
			}
			if !errors.Is(err, ErrUnavailable) || Code(err) != CodeUnavailable || !strings.Contains(err.Error(), server.want) || strings.Contains(err.Error(), token) {
				t.Errorf("%s, %s: %v", name, method, err)
			}
			if took := time.Since(begin); took > tooLong {
				t.Errorf("%s, %s: took %s", name, method, took)
			}
		})
	}
}
