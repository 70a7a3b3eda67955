package router

import (
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// TestPolicy keeps the promises of a tenant's access policy: each demand refuses whoever does not meet it or cannot prove
// it, API keys are only bound to addresses, and no text tells what would pass.
func TestPolicy(t *testing.T) {
	named := says("acme")
	key := &fake{name: "api_key", yield: Yield{Reference: slug("acme", ""), Authenticated: true, Machine: true}}
	person := func(change func(*Yield)) *fake {
		y := Yield{Reference: slug("acme", ""), Authenticated: true, User: "u1"}
		change(&y)
		return &fake{name: "jwt", yield: y}
	}
	token := person(func(*Yield) {})
	signedIn := func(ago time.Duration) *fake {
		return person(func(y *Yield) { y.SignedInAt = testNow.Add(-ago) })
	}
	for _, test := range []struct {
		name   string
		policy registry.AccessControl
		source Source
		ip     string
		want   string // "" for admitted, else a word of the text that the client gets
	}{
		{"nothing demanded", registry.AccessControl{}, named, "", ""},
		{"address in the list", registry.AccessControl{IPWhitelist: []string{"10.0.0.0/8"}}, named, "10.1.2.3", ""},
		{"IPv6 address in the list", registry.AccessControl{IPWhitelist: []string{"2001:db8::/32"}}, named, "2001:db8::7", ""},
		{"address not in the list", registry.AccessControl{IPWhitelist: []string{"10.0.0.0/8"}}, token, "11.1.2.3", "address"},
		{"address of an API key not in the list", registry.AccessControl{IPWhitelist: []string{"10.0.0.0/8"}}, key, "11.1.2.3", "address"},
		{"address unknown", registry.AccessControl{IPWhitelist: []string{"10.0.0.0/8"}}, token, "", "address"},
		{"address garbage", registry.AccessControl{IPWhitelist: []string{"0.0.0.0/0", "::/0"}}, token, "unix", "address"},
		{"second factor", registry.AccessControl{RequireMFA: true}, person(func(y *Yield) { y.MFA = true }), "", ""},
		{"no second factor", registry.AccessControl{RequireMFA: true}, token, "", "factor"},
		{"nobody knows of a second factor", registry.AccessControl{RequireMFA: true}, named, "", "factor"},
		{"an API key has none", registry.AccessControl{RequireMFA: true, RequireSSO: true, SessionTimeout: 1}, key, "", ""},
		{"single sign-on", registry.AccessControl{RequireSSO: true}, person(func(y *Yield) { y.SSO = true }), "", ""},
		{"no single sign-on", registry.AccessControl{RequireSSO: true}, person(func(y *Yield) { y.MFA = true }), "", "identity provider"},
		{"a young sign-in", registry.AccessControl{SessionTimeout: 3600}, signedIn(time.Hour), "", ""},
		{"an old sign-in", registry.AccessControl{SessionTimeout: 3600}, signedIn(time.Hour + time.Second), "", "again"},
		{"a sign-in ahead of our clock", registry.AccessControl{SessionTimeout: 3600}, signedIn(-time.Minute), "", ""},
		{"a sign-in of unknown age", registry.AccessControl{SessionTimeout: 3600}, token, "", "again"},
	} {
		w := newWorld()
		w.set("acme", func(r *registry.Resolved) {
			r.Tenant.SecurityPolicy = &registry.SecurityPolicy{AccessControl: test.policy}
		})
		r := request(t, "", "/")
		r.ClientIP = test.ip
		_, err := newRouter(t, w, test.source).Route(t.Context(), r)
		refusal, _ := err.(*Refusal) //nolint:errorlint // as in outcome
		switch {
		case (refusal != nil) != (test.want != ""):
			t.Errorf("%s: %v", test.name, err)
		case refusal == nil:
		case refusal.Code != CodePolicyDenied || refusal.Status != 403 || !strings.Contains(refusal.Detail, test.want):
			t.Errorf("%s: %d %s %q", test.name, refusal.Status, refusal.Code, refusal.Detail)
		case strings.Contains(refusal.Detail, "10.0.0.0"):
			t.Errorf("%s: the client is told which addresses pass", test.name)
		}
	}
}

// TestSignInClaims keeps the promise that a token proves a second factor and single sign-on by the claims that the
// configuration names, "amr" unless it says otherwise.
func TestSignInClaims(t *testing.T) {
	for _, test := range []struct {
		name     string
		names    credential.ClaimNames
		mfa, sso ClaimTest
		claims   []any
		wantMFA  bool
		wantSSO  bool
	}{
		{"nothing", credential.ClaimNames{}, ClaimTest{}, ClaimTest{}, nil, false, false},
		{"amr", credential.ClaimNames{}, ClaimTest{}, ClaimTest{}, []any{"amr", []string{"pwd", "mfa"}}, true, false},
		{"one factor", credential.ClaimNames{}, ClaimTest{}, ClaimTest{}, []any{"amr", []string{"otp"}}, false, false},
		{"sso", credential.ClaimNames{}, ClaimTest{}, ClaimTest{}, []any{"amr", []string{"sso"}}, false, true},
		{"other values", credential.ClaimNames{}, ClaimTest{Values: []string{"otp", "hwk"}}, ClaimTest{Values: []string{"fed"}}, []any{"amr", []string{"hwk", "fed"}}, true, true},
		{
			"other claims",
			credential.ClaimNames{Extra: []string{"two_factor", "idp"}},
			ClaimTest{Claim: "two_factor", Values: []string{"true"}},
			ClaimTest{Claim: "idp", Values: []string{"okta"}},
			[]any{"two_factor", true, "idp", "okta"},
			true, true,
		},
		{
			"other claims say no",
			credential.ClaimNames{Extra: []string{"two_factor", "idp"}},
			ClaimTest{Claim: "two_factor", Values: []string{"true"}},
			ClaimTest{Claim: "idp", Values: []string{"okta"}},
			[]any{"two_factor", false, "idp", "google", "amr", []string{"mfa", "sso"}},
			false, false,
		},
	} {
		o := jwtOptions(t, test.names)
		o.MFA, o.SSO = test.mfa, test.sso
		r := request(t, "", "/")
		signedIn := testNow.Add(-time.Minute)
		r.HTTP.Header.Set("Authorization", "Bearer "+token(t, append(test.claims, "auth_time", signedIn.Unix())...))
		y, err := must(NewJWT(o)).Identify(r)
		if err != nil {
			t.Fatal(test.name, err)
		}
		if y.MFA != test.wantMFA || y.SSO != test.wantSSO || !y.SignedInAt.Equal(signedIn) {
			t.Errorf("%s: second factor %t, single sign-on %t, signed in %s", test.name, y.MFA, y.SSO, y.SignedInAt)
		}
	}
}
