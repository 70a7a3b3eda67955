package e2e_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// What signs better-auth's cookies, now and before.
const (
	authSecret    = "the secret of better-auth, 40 characters long"
	oldAuthSecret = "the secret of better-auth that was there before"
)

// betterAuthSite is how README sets better-auth up: its own routes are exempt and go to its server, everything else needs
// a session of a member and goes to the tenant.
const betterAuthSite = `tenant {
	identify session {
		secret {env.BETTER_AUTH_SECRET} {env.BETTER_AUTH_OLD_SECRET}
		table session token userId expiresAt activeOrganizationId activeEnvironmentId
	}
	require authenticated
	exempt /api/auth/*
}
handle /api/auth/* {
	reverse_proxy {env.BETTER_AUTH_ADDRESS}
}
handle {
	reverse_proxy {
		dynamic tenant
	}
}
`

// Promise: better-auth and the gateway share one database. Who signs up with better-auth and makes an organization has a
// tenant, and is served as its member; who signs out, moves to another organization or environment, or is removed from an
// organization, is so to the gateway within two polls. Cookies are taken in both forms, and a secret may be rotated.
func TestBetterAuth(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		betterAuth(t, sqldBackend(t).direct, "", "better-auth.session_token")
	})
	t.Run("https", func(t *testing.T) {
		t.Parallel()
		betterAuth(t, sqldBackend(t).direct, "https://app.example.com", "__Secure-better-auth.session_token")
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		betterAuth(t, fileBackend(t), "", "better-auth.session_token")
	})
}

// betterAuthTokenSite is the same with the tokens of better-auth's JWT plugin.
const betterAuthTokenSite = `tenant {
	identify jwt {
		jwks http://{env.BETTER_AUTH_ADDRESS}/api/auth/jwks
		issuer {$BETTER_AUTH_URL}
		audience {$BETTER_AUTH_URL}
		tenant_claim organizationId
	}
	require authenticated
	require role env_viewer
	exempt /api/auth/*
}
handle /api/auth/* {
	reverse_proxy {env.BETTER_AUTH_ADDRESS}
}
handle {
	reverse_proxy {
		dynamic tenant
	}
}
`

// startBetterAuth starts better-auth on the registry's database, for users who see it at that URL.
func startBetterAuth(t *testing.T, b backend, port, url string, secrets ...string) *nodeProcess {
	t.Helper()
	args := []string{"better-auth.mjs", "serve", "--database", b.url, "--port", port, "--url", url, "--tenants"}
	for _, secret := range secrets {
		args = append(args, "--secret", secret)
	}
	return startNode(t, []string{"DATABASE_TOKEN=" + b.token}, args...)
}

func betterAuth(t *testing.T, b backend, url, cookie string) {
	const polls = 2 * time.Second
	u := startUpstreams(t)
	d := someTenants(u)
	d.Plans[0].Upstreams = []string{u.globex.Address}
	b.load(t, d)
	address := harness.FreeAddress(t)
	if url == "" {
		url = "http://" + address
	}
	_, port, _ := net.SplitHostPort(harness.FreeAddress(t))
	server := startBetterAuth(t, b, port, url, oldAuthSecret)
	g := harness.Start(t, harness.Options{
		Tenants: b.directive("poll_interval 1s") + "cache {\nttl 1h\nnegative_ttl 1h\n}", Site: betterAuthSite, Address: address,
		Env: append(b.env(), "BETTER_AUTH_SECRET="+authSecret, "BETTER_AUTH_OLD_SECRET="+oldAuthSecret,
			"BETTER_AUTH_ADDRESS="+strings.TrimPrefix(server.URL, "http://")),
	})

	owner := newBrowser(t, g, url)
	owner.sees(0, "nobody", "credentials_invalid")
	user := owner.signUp("owner@example.com")
	if owner.cookies[cookie] == "" {
		t.Fatalf("better-auth sets %v and not %s", owner.cookies, cookie)
	}
	owner.sees(polls, "signed up, in no organization", "credentials_invalid")
	first := owner.organization("first-org")
	owner.sees(polls, "made an organization", "first-org/production "+user+" env_admin")
	second := owner.organization("second-org")
	owner.sees(polls, "made another", "second-org/production "+user+" env_admin")
	owner.auth(http.MethodPost, "/organization/set-active", map[string]string{"organizationId": first}, nil)
	owner.sees(polls, "went back to the first", "first-org/production "+user+" env_admin")

	// An environment decides before the organization.
	p := newPeople(t, b)
	staging := numberedID(3, 1)
	p.insert(t, "sys_environment", row{"id": staging, "organization_id": first, "slug": "staging", "name": "Staging", "type": "staging"})
	p.member(t, staging, user, "env_viewer")
	owner.auth(http.MethodPost, "/update-session", map[string]string{"activeEnvironmentId": staging}, nil)
	owner.sees(polls, "chose an environment", "first-org/staging "+user+" env_viewer")
	owner.auth(http.MethodPost, "/update-session", map[string]any{"activeEnvironmentId": nil}, nil)
	owner.sees(polls, "chose none", "first-org/production "+user+" env_admin")

	// Such a table says neither how nor when somebody signed in.
	for _, demand := range []string{`"requireMFA":true`, `"requireSSO":true`, `"sessionTimeout":3600`} {
		p.exec(t, "UPDATE sys_organization SET security_policy = ? WHERE id = ?", `{"accessControl":{`+demand+`}}`, first)
		owner.sees(polls, demand, "policy_denied")
		p.exec(t, "UPDATE sys_organization SET security_policy = NULL WHERE id = ?", first)
		owner.sees(polls, "no more "+demand, "first-org/production "+user+" env_admin")
	}

	// A guest chooses an organization that she is not a member of, becomes one, and is removed.
	guest := newBrowser(t, g, url)
	guestID := guest.signUp("guest@example.com")
	invite := func(email string) string {
		var answer struct{ ID string }
		owner.auth(http.MethodPost, "/organization/invite-member", map[string]string{"email": email, "role": "member", "organizationId": second}, &answer)
		return answer.ID
	}
	guest.auth(http.MethodPost, "/organization/accept-invitation", map[string]string{"invitationId": invite("guest@example.com")}, nil)
	guest.auth(http.MethodPost, "/organization/set-active", map[string]string{"organizationId": second}, nil)
	guest.sees(polls, "joined", "second-org/production "+guestID+" env_user")
	p.exec(t, "UPDATE session SET activeOrganizationId = ? WHERE userId = ?", first, guestID)
	guest.sees(polls, "goes where she is no member", "membership_required")
	p.exec(t, "UPDATE session SET activeOrganizationId = ? WHERE userId = ?", second, guestID)
	guest.sees(polls, "comes back", "second-org/production "+guestID+" env_user")
	owner.auth(http.MethodPost, "/organization/remove-member", map[string]string{"memberIdOrEmail": "guest@example.com", "organizationId": second}, nil)
	guest.sees(polls, "was removed", "membership_required")

	// Another browser of the same user is another session.
	left := owner.page()
	other := newBrowser(t, g, url)
	other.signIn("owner@example.com")
	other.auth(http.MethodPost, "/organization/set-active", map[string]string{"organizationId": second}, nil)
	other.sees(polls, "a second session", "second-org/production "+user+" env_admin")
	owner.sees(0, "the first session", "first-org/production "+user+" env_admin")
	owner.auth(http.MethodPost, "/sign-out", map[string]string{}, nil)
	harness.Eventually(t, polls, comesTo(t, g, left, "credentials_invalid"))
	other.sees(0, "the second session, after the first has ended", "second-org/production "+user+" env_admin")

	// The secret is rotated: sessions of before go on, and those of after are signed with the new one.
	server.stop()
	startBetterAuth(t, b, port, url, authSecret, oldAuthSecret)
	other.sees(0, "after the rotation", "second-org/production "+user+" env_admin")
	fresh := newBrowser(t, g, url)
	fresh.signIn("owner@example.com")
	fresh.auth(http.MethodPost, "/organization/set-active", map[string]string{"organizationId": first}, nil)
	fresh.sees(polls, "signed in after the rotation", "first-org/production "+user+" env_admin")
	for who, b := range map[*browser]bool{other: false, fresh: true} {
		token, _, _ := strings.Cut(who.cookies[cookie], ".")
		if signedNew := sessionCookie(authSecret, token) == "better-auth.session_token="+who.cookies[cookie]; signedNew != b {
			t.Errorf("signed with the new secret: %t, want %t", signedNew, b)
		}
	}
}

// Promise: the tokens of better-auth's JWT plugin name the user's active organization, and prove it to the gateway, which
// asks the registry for the role.
func TestBetterAuthTokens(t *testing.T) {
	t.Parallel()
	b := sqldBackend(t).direct
	u := startUpstreams(t)
	d := someTenants(u)
	d.Plans[0].Upstreams = []string{u.globex.Address}
	b.load(t, d)
	address := harness.FreeAddress(t)
	url := "http://" + address
	server := startBetterAuth(t, b, "0", url, authSecret)
	g := harness.Start(t, harness.Options{
		Tenants: b.directive("poll_interval 1s"), Address: address,
		Env:  append(b.env(), "BETTER_AUTH_ADDRESS="+strings.TrimPrefix(server.URL, "http://"), "BETTER_AUTH_URL="+url),
		Site: betterAuthTokenSite,
	})
	owner := newBrowser(t, g, url)
	user := owner.signUp("owner@example.com")
	first := owner.organization("first-org")
	token := func() harness.Ask {
		t.Helper()
		var answer struct{ Token string }
		owner.auth(http.MethodGet, "/token", nil, &answer)
		return withToken("", answer.Token)
	}
	inFirst := token()
	owner.organization("second-org")
	inSecond := token()
	for _, tt := range []struct {
		name, want string
		ask        harness.Ask
	}{
		{"in the first organization", "first-org/production " + user + " env_admin", inFirst},
		{"in the second", "second-org/production " + user + " env_admin", inSecond},
		{"forged", "credentials_invalid", withToken("", forged(inFirst.Header["Authorization"][len("Bearer "):]))},
		{"none", "credentials_invalid", withToken("", "")},
	} {
		if got, err := owner.tenantOf(t.Context(), tt.ask); err != nil || got != tt.want {
			t.Errorf("%s: %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
	p := newPeople(t, b)
	p.exec(t, "DELETE FROM sys_environment_member WHERE user_id = ? AND environment_id IN (SELECT id FROM sys_environment WHERE organization_id = ?)", user, first)
	harness.Eventually(t, 2*time.Second, comesTo(t, g, inFirst, "membership_required"))
}
