package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/test/harness"
)

// outcome is what a request comes to: the upstream's name with the user and role that it was told, or a refusal's code.
func outcome(t *testing.T, g *harness.Gateway, ask harness.Ask) (string, error) {
	t.Helper()
	answer, err := harness.Send(t.Context(), g.Client, g.Address, ask)
	if err != nil {
		return "", err
	}
	if answer.Status != 200 {
		return answer.Problem(t).Code, nil
	}
	e := answer.Echo(t)
	return fmt.Sprint(e.Upstream, " ", e.Values("X-User-ID"), " ", e.Values("X-User-Role")), nil
}

// comesTo is a condition: the request comes to that outcome.
func comesTo(t *testing.T, g *harness.Gateway, ask harness.Ask, want string) func() error {
	return func() error {
		got, err := outcome(t, g, ask)
		if err == nil && got != want {
			err = fmt.Errorf("it comes to %q, want %q", got, want)
		}
		return err
	}
}

// Promise: a session or key that is revoked, a member who is removed or gets another role, a session that moves to another
// tenant, and a policy that becomes stricter, take effect within two polls, on credentials that are in use; and a session
// or key that reaches its end does so at once.
func TestCredentialChanges(t *testing.T) {
	const poll = time.Second
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		b.load(t, someTenants(u))
		p := newPeople(t, b)
		inAcme := row{"active_environment_id": acmeProdID}
		for user, role := range map[string]string{"u1": "env_user", "u2": "env_maker", "u3": "env_admin", "u4": "env_user", "u5": "env_user"} {
			p.member(t, acmeProdID, user, role)
		}
		p.member(t, globexProd, "u1", "env_viewer")
		g := harness.Start(t, harness.Options{
			Tenants: b.directive("poll_interval 1s") + "cache {\nttl 1h\nnegative_ttl 1h\n}",
			Env:     append(b.env(), "JWT_SECRET="+identityTokenSecret, "AUTH_SECRET="+identitySessionSecret),
			Site: sites(map[string]string{
				"any": "identify session {\nsecret {env.AUTH_SECRET}\n}\nidentify api_key\nidentify jwt {\nsecret {env.JWT_SECRET}\n" +
					"tenant_claim organizationId\n}\nrequire authenticated",
				"user": "identify session {\nsecret {env.AUTH_SECRET}\n}\nidentify api_key\nidentify jwt {\nsecret {env.JWT_SECRET}\n" +
					"tenant_claim organizationId\n}\nrequire role env_user",
			}),
		})
		token := func(user string) harness.Ask {
			return withToken("", tokenFor(t, jwt.SigningMethodHS256, []byte(identityTokenSecret), "acme", "sub", user, "iat", time.Now().Unix()))
		}
		session := func(user string, columns ...row) harness.Ask {
			return withCookie("", p.session(t, user, append(columns, inAcme)...))
		}
		exec := func(query string, args ...any) func() {
			return func() { t.Helper(); p.exec(t, query, args...) }
		}
		revoked, deleted, moved := session("u1"), session("u1"), session("u1")
		key, userKey, oldKey := p.key(t, acmeProdID), p.key(t, acmeProdID, row{"user_id": "u4"}), p.key(t, acmeProdID)
		hash := func(ask harness.Ask) string { return hashOfCookie(t, ask.Header["Cookie"]) }
		for _, tt := range []struct {
			name, site    string
			ask           harness.Ask
			before, after string
			write         func()
		}{
			{"a session is revoked", "any", revoked, "acme-production [u1] [env_user]", "credentials_invalid", exec("UPDATE sys_session SET revoked_at = ? WHERE token_hash = ?", rfc3339(0), hash(revoked))},
			{"a session is deleted", "any", deleted, "acme-production [u1] [env_user]", "credentials_invalid", exec("DELETE FROM sys_session WHERE token_hash = ?", hash(deleted))},
			{"a session moves to another tenant", "any", moved, "acme-production [u1] [env_user]", "globex [u1] [env_viewer]", exec("UPDATE sys_session SET active_environment_id = ? WHERE token_hash = ?", globexProd, hash(moved))},
			{"a key is revoked", "any", withKey("", key), "acme-production [] []", "credentials_invalid", exec("UPDATE sys_api_key SET revoked_at = ? WHERE key_hash = ?", rfc3339(0), hashOf(key))},
			{"a key is deleted", "any", withKey("", oldKey), "acme-production [] []", "credentials_invalid", exec("DELETE FROM sys_api_key WHERE key_hash = ?", hashOf(oldKey))},
			{"a key's user is removed", "any", withKey("", userKey), "acme-production [u4] [env_user]", "membership_required", exec("DELETE FROM sys_environment_member WHERE user_id = 'u4'")},
			{"a member with a session is removed", "any", session("u2"), "acme-production [u2] [env_maker]", "membership_required", exec("DELETE FROM sys_environment_member WHERE user_id = 'u2'")},
			{"a member with a token is removed", "user", token("u5"), "acme-production [u5] [env_user]", "membership_required", exec("DELETE FROM sys_environment_member WHERE user_id = 'u5'")},
			{"a member comes back", "user", token("u5"), "membership_required", "acme-production [u5] [env_maker]", func() { p.member(t, acmeProdID, "u5", "env_maker") }},
			{"a member's role falls", "user", session("u3"), "acme-production [u3] [env_admin]", "role_insufficient", exec("UPDATE sys_environment_member SET role = 'env_viewer' WHERE user_id = 'u3'")},
			{"a member's role rises", "user", token("u3"), "role_insufficient", "acme-production [u3] [env_user]", exec("UPDATE sys_environment_member SET role = 'env_user' WHERE user_id = 'u3'")},
			{"a second factor is demanded", "any", session("u1"), "acme-production [u1] [env_user]", "policy_denied", exec(`UPDATE sys_organization SET security_policy = '{"accessControl":{"requireMFA":true}}' WHERE id = ?`, acmeID)},
			{"it is demanded no more", "any", session("u1"), "policy_denied", "acme-production [u1] [env_user]", exec(`UPDATE sys_organization SET security_policy = NULL WHERE id = ?`, acmeID)},
		} {
			t.Run(tt.name, func(t *testing.T) {
				ask := onSite(tt.site, tt.ask)
				for range 2 { // the second time it is in the cache
					if err := comesTo(t, g, ask, tt.before)(); err != nil {
						t.Fatalf("before: %v", err)
					}
				}
				tt.write()
				took := harness.Eventually(t, 2*poll, comesTo(t, g, ask, tt.after))
				t.Logf("in effect %s after it was written", took.Round(time.Millisecond))
			})
		}
		t.Run("an end that was written before", func(t *testing.T) {
			const left = 2 * time.Second
			asks := map[string]harness.Ask{
				"session": session("u1", row{"expires_at": rfc3339(left)}),
				"key":     withKey("", p.key(t, acmeProdID, row{"expires_at": rfc3339(left)})),
			}
			at := time.Now().Add(left)
			for name, ask := range asks {
				asks[name] = onSite("any", ask)
				if got, err := outcome(t, g, asks[name]); err != nil || got == "credentials_invalid" {
					t.Errorf("%s: %q (%v) before its end", name, got, err)
				}
			}
			for name, ask := range asks {
				harness.Eventually(t, time.Until(at)+poll, comesTo(t, g, ask, "credentials_invalid"))
				if early := time.Until(at); early > left/2 {
					t.Errorf("%s: refused %s before its end", name, early)
				}
			}
		})
	})
}
