package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/router/credential"
	"github.com/tenantgate/tenantgate/test/harness"
)

// withCookie is a request that carries cookies.
func withCookie(host, cookie string) harness.Ask {
	return harness.Ask{Host: host, Header: map[string]string{"Cookie": cookie}}
}

func (b *badInputs) sessions(t *testing.T) {
	const host = "gateway.test"
	p, inAcme := b.people, row{"active_environment_id": acmeProdID}
	const unknown = "unknown, expired or revoked"
	good := p.session(t, "user-1", inAcme)
	b.add("session", "session-proof", withCookie(host, good), 200, "", "")
	b.add("session, of the tenant alone", "session-proof", withCookie(host, p.session(t, "user-1", row{"active_organization_id": acmeID})), 200, "", "")
	b.refuse401("no session", "session-proof", withCookie("acme.app.test", "theme=dark"), "no token, session or API key")
	b.refuse401("session: garbage", "session", withCookie(host, "better-auth.session_token=garbage"), "malformed")
	b.refuse401("session: bad encoding", "session", withCookie(host, "better-auth.session_token=%zz.a"), "malformed")
	b.refuse401("session: bad signature", "session", withCookie(host, sessionCookie("another secret of 40 characters or more", "token")), "signature")
	b.refuse401("session: oversize", "session", withCookie(host, "better-auth.session_token="+strings.Repeat("x", 4096)+".y"), "too_large")
	b.refuse401("session: two different ones", "session", withCookie(host, good+"; "+sessionCookie(identitySessionSecret, "other")), "conflict")
	b.refuse401("session: unknown", "session", withCookie(host, sessionCookie(identitySessionSecret, "unknown")), unknown)
	b.refuse401("session: expired", "session", withCookie(host, p.session(t, "user-1", inAcme, row{"expires_at": rfc3339(-time.Minute)})), unknown)
	b.refuse401("session: revoked", "session", withCookie(host, p.session(t, "user-1", inAcme, row{"revoked_at": rfc3339(-time.Minute)})), unknown)
	b.refuse401("session: bad, at an address that says enough", "session", withCookie("acme.app.test", "better-auth.session_token=garbage.x"), "malformed")
	b.refuse401("session: without a tenant, where proof of it is required", "session-proof", withCookie("acme.app.test", p.session(t, "user-1")), "names its tenant")
	b.add("session: without a tenant", "session", withCookie(host, p.session(t, "user-1")), 400, "tenant_required", "tenant_required")
	b.add("session: without a tenant, at a member's address", "session", withCookie("acme.app.test", p.session(t, "user-1")), 200, "", "")
	b.add("session: of somebody who is no member", "session", withCookie(host, p.session(t, "user-2", inAcme)), 403, "membership_required", "not a member")
	b.add("session: of somebody who is no member, where anybody may", "session-any", withCookie(host, p.session(t, "user-2", inAcme)), 200, "", "")
	b.add("session: of somebody who is a member elsewhere", "session", withCookie("globex.app.test", p.session(t, "user-1")), 403, "membership_required", "not a member")
	b.add("session: of another tenant", "session", withCookie("globex.app.test", good), 403, "tenant_conflict", "session and subdomain disagree")
	b.add("session: of another tenant, where anybody may", "session-any", withCookie("globex.app.test", good), 403, "tenant_conflict", "session and subdomain disagree")
	b.add("session: of an archived environment", "session", withCookie(host, p.session(t, "user-1", row{"active_environment_id": numberedID(2, 9)})), 410, "environment_inactive", "environment_inactive")
	p.member(t, acmeProdID, "leaver", "env_admin")
	left := p.session(t, "leaver", inAcme)
	p.exec(t, "DELETE FROM sys_environment_member WHERE user_id = 'leaver'")
	b.add("session: of a removed member", "session", withCookie(host, left), 403, "membership_required", "not a member")
}

// withKey is a request that carries an API key.
func withKey(host, key string, headers ...string) harness.Ask {
	ask := harness.Ask{Host: host, Header: map[string]string{"X-API-Key": key}}
	for i := 0; i < len(headers); i += 2 {
		ask.Header[headers[i]] = headers[i+1]
	}
	return ask
}

func (b *badInputs) keys(t *testing.T) {
	const host = "gateway.test"
	p := b.people
	const unknown = "unknown, expired or revoked"
	good := p.key(t, acmeProdID)
	b.add("key", "key", withKey(host, good), 200, "", "")
	b.add("key as a bearer", "key", withToken(host, good), 200, "", "")
	b.refuse401("no key", "key", harness.Ask{Host: "acme.app.test"}, "no token, session or API key")
	b.refuse401("key: garbage", "key", withKey(host, "garbage"), "malformed")
	b.refuse401("key: of another form", "key", withKey(host, "tg_production_short"), "malformed")
	b.refuse401("key: with a bad checksum", "key", withKey(host, good[:len(good)-6]+"zzzzzz"), "checksum")
	b.refuse401("key: oversize", "key", withKey(host, good+strings.Repeat("x", 4096)), "too_large")
	b.refuse401("key: two different ones", "key", withKey(host, good, "Authorization", "Bearer "+p.key(t, acmeProdID)), "conflict")
	made, err := credential.GenerateKey("production", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.refuse401("key: unknown", "key", withKey(host, made), unknown)
	b.refuse401("key: expired", "key", withKey(host, p.key(t, acmeProdID, row{"expires_at": rfc3339(-time.Minute)})), unknown)
	b.refuse401("key: revoked", "key", withKey(host, p.key(t, acmeProdID, row{"revoked_at": rfc3339(-time.Minute)})), unknown)
	b.add("key: of an archived environment", "key", withKey(host, p.key(t, numberedID(2, 9))), 410, "environment_inactive", "environment_inactive")
	b.add("key: of another tenant", "key", withKey("globex.app.test", good), 403, "tenant_conflict", "api_key and subdomain disagree")
	b.add("key: of a member", "key", withKey(host, p.key(t, acmeProdID, row{"user_id": "user-1"})), 200, "", "")
	b.add("key: of a removed user", "key", withKey(host, p.key(t, acmeProdID, row{"user_id": "leaver"})), 403, "membership_required", "not a member")
}

func (b *badInputs) roles(t *testing.T) {
	const host = "gateway.test"
	p, inAcme := b.people, row{"active_environment_id": acmeProdID}
	p.member(t, acmeProdID, "maker", "env_maker")
	claim := func(user string) string {
		return tokenFor(t, jwt.SigningMethodHS256, []byte(identityTokenSecret), "acme", "sub", user, "roles", []string{"env_admin"})
	}
	b.add("role: of a session, enough", "role", withCookie(host, p.session(t, "maker", inAcme)), 200, "", "")
	b.add("role: of a session, too low", "role", withCookie(host, p.session(t, "user-1", inAcme)), 403, "role_insufficient", `\"env_user\", and env_maker is required`)
	b.add("role: of a token, enough", "role", withToken(host, claim("maker")), 200, "", "")
	b.add("role: of a token, which claims a higher one", "role", withToken(host, claim("user-1")), 403, "role_insufficient", `\"env_user\"`)
	b.add("role: of a token, no member", "role", withToken(host, claim("user-3")), 403, "membership_required", "not a member")
	b.add("role: of a key, enough", "role", withKey(host, p.key(t, acmeProdID, row{"role": "env_admin"})), 200, "", "")
	b.add("role: of a key, too low", "role", withKey(host, p.key(t, acmeProdID, row{"role": "env_viewer"})), 403, "role_insufficient", "env_viewer")
	b.add("role: of a key, none", "role", withKey(host, p.key(t, acmeProdID)), 403, "role_insufficient", "env_maker is required")
	b.add("role: of a key, higher than its user's", "role", withKey(host, p.key(t, acmeProdID, row{"role": "env_admin", "user_id": "user-1"})), 403, "role_insufficient", `\"env_user\"`)
	b.refuse401("role: of nobody", "role", harness.Ask{Host: host, Header: map[string]string{"X-Tenant-ID": "acme", "X-User-ID": "maker", "X-User-Role": "env_admin"}}, "a role is required")
}

func (b *badInputs) policies(t *testing.T, environments map[string]string) {
	const host = "gateway.test"
	p := b.people
	in := func(slug string, columns ...row) harness.Ask {
		return withCookie(host, p.session(t, "user-1", append(columns, row{"active_environment_id": environments[slug]})...))
	}
	deny := func(name, site string, ask harness.Ask, why string) {
		b.add("policy: "+name, site, ask, 403, "policy_denied", why)
	}
	deny("address", "jwt", withToken(host, b.token(t, "address")), "ipWhitelist")
	deny("address, of a key", "key", withKey(host, p.key(t, environments["address"])), "ipWhitelist")
	deny("address, forged", "jwt", withToken(host, b.token(t, "address"), "X-Forwarded-For", "10.0.0.1"), "ipWhitelist")
	deny("one factor", "session", in("factors"), "requireMFA")
	deny("one factor, of a token", "jwt", withToken(host, b.token(t, "factors", "amr", []string{"pwd"})), "requireMFA")
	deny("nobody's factor", "session", harness.Ask{Host: "factors.app.test"}, "requireMFA")
	deny("own password", "session", in("provider"), "requireSSO")
	deny("own password, of a token", "jwt", withToken(host, b.token(t, "provider", "amr", []string{"pwd"})), "requireSSO")
	deny("long ago", "session", in("recent", row{"authenticated_at": rfc3339(-time.Hour)}), "sessionTimeout")
	deny("long ago, of a token", "jwt", withToken(host, b.token(t, "recent", "auth_time", time.Now().Add(-time.Hour).Unix(), "iat", time.Now().Unix())), "sessionTimeout")
	deny("nobody knows when", "jwt", withToken(host, b.token(t, "recent")), "sessionTimeout")
	b.add("policy: two factors", "session", in("factors", row{"mfa": 1}), 200, "", "")
	b.add("policy: two factors, of a token", "jwt", withToken(host, b.token(t, "factors", "amr", []string{"pwd", "mfa"})), 200, "", "")
	b.add("policy: one factor, of a key", "key", withKey(host, p.key(t, environments["factors"])), 200, "", "")
	b.add("policy: provider", "session", in("provider", row{"sso": 1}), 200, "", "")
	b.add("policy: just now", "session", in("recent", row{"authenticated_at": rfc3339(-time.Minute)}), 200, "", "")
	b.add("policy: just now, of a token", "jwt", withToken(host, b.token(t, "recent", "iat", time.Now().Unix())), 200, "", "")
}
