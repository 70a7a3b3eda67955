package registry

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// decoders are the five by what they read; each returns what an API would go on with.
var decoders = map[string]func(io.Reader) (any, error){
	"tenant":           func(r io.Reader) (any, error) { return DecodeTenant(r) },
	"environment":      func(r io.Reader) (any, error) { return DecodeEnvironment(r) },
	"plan":             func(r io.Reader) (any, error) { return DecodePlan(r) },
	"tenantPatch":      func(r io.Reader) (any, error) { return DecodeTenantPatch(r) },
	"environmentPatch": func(r io.Reader) (any, error) { return DecodeEnvironmentPatch(r) },
}

// badBody is a request's body, and what is said about it.
type badBody struct {
	decoder, text, field, code string
}

func badBodies() []badBody {
	long := func(n int) string { return strings.Repeat("a", n) }
	return []badBody{
		{"tenant", ``, "", CodeInvalid},
		{"tenant", `{`, "", CodeInvalid},
		{"tenant", `null`, "", CodeInvalid},
		{"tenant", `[]`, "", CodeInvalid},
		{"tenant", `{"slug": "a"} x`, "", CodeInvalid},
		{"tenant", `{}`, "slug", CodeInvalid},
		{"tenant", `{"slug": 1}`, "slug", CodeInvalid},
		{"tenant", `{"slug": ""}`, "slug", CodeInvalid},
		{"tenant", `{"slug": "Acme"}`, "slug", CodeInvalid},
		{"tenant", `{"slug": "a.b"}`, "slug", CodeInvalid},
		{"tenant", `{"slug": "a--b"}`, "slug", CodeInvalid},
		{"tenant", `{"slug": "bücher"}`, "slug", CodeInvalid},
		{"tenant", `{"slug": "` + idAcme + `"}`, "slug", CodeInvalid},
		{"tenant", `{"slug": "` + long(64) + `"}`, "slug", CodeTooLong},
		{"tenant", `{"slug": "a", "slug": "b"}`, "slug", CodeDuplicate},
		{"tenant", `{"slug": "a", "id": "1"}`, "id", CodeInvalid},
		{"tenant", `{"slug": "a", "id": "00000000-0000-0000-0000-000000000000"}`, "id", CodeInvalid},
		{"tenant", `{"slug": "a", "colour": 1}`, "colour", CodeUnknownField},
		{"tenant", `{"slug": "a", "name": "` + long(256) + `"}`, "name", CodeTooLong},
		{"tenant", `{"slug": "a", "name": "\u0000"}`, "name", CodeInvalid},
		{"tenant", `{"slug": "a", "plan": "Pro"}`, "plan", CodeInvalid},
		{"tenant", `{"slug": "a", "plan": "` + long(64) + `"}`, "plan", CodeTooLong},
		{"tenant", `{"slug": "a", "status": "paused"}`, "status", CodeInvalid},
		{"tenant", `{"slug": "a", "isolationLevel": true}`, "isolationLevel", CodeInvalid},
		{"tenant", `{"slug": "a", "subscriptionExpiresAt": "tomorrow"}`, "subscriptionExpiresAt", CodeInvalid},
		{"tenant", `{"slug": "a", "quotas": {"burst": 0}}`, "quotas.burst", CodeInvalid},
		{"tenant", `{"slug": "a", "quotas": {"burst": "1"}}`, "quotas.burst", CodeInvalid},
		{"tenant", `{"slug": "a", "quotas": {"speed": 1}}`, "quotas.speed", CodeUnknownField},
		{"tenant", `{"slug": "a", "metadata": {"k": 1}}`, `metadata["k"]`, CodeInvalid},
		{"tenant", `{"slug": "a", "metadata": {"k": "` + long(1025) + `"}}`, `metadata["k"]`, CodeTooLong},
		{"tenant", `{"slug": "a", "upstreams": ["ftp://x"]}`, "upstreams[0]", CodeInvalid},
		{"tenant", `{"slug": "a", "securityPolicy": {"accessControl": {"ipWhitelist": ["10.0.0.1/8"]}}}`, "securityPolicy.accessControl.ipWhitelist[0]", CodeInvalid},
		{"tenant", `{"slug": "a", "environments": [{"slug": "e", "isDefault": true}, {"slug": "e"}]}`, "environments[1].slug", CodeDuplicate},
		{"tenant", `{"slug": "a", "environments": [{"slug": "e"}, {"slug": "f"}]}`, "environments", CodeInvalid},
		{"tenant", `{"slug": "a", "environments": [{"slug": "e", "domains": ["x.test", "X.test"]}]}`, "environments[0].domains[1]", CodeDuplicate},
		{"tenant", `{"slug": "a", "environments": [{"slug": "e", "members": [{"userId": "u", "role": "env_user"}, {"userId": "u", "role": "env_user"}]}]}`, "environments[0].members[1].userId", CodeDuplicate},
		{"environment", `[]`, "", CodeInvalid},
		{"environment", `{"slug": "QA"}`, "slug", CodeInvalid},
		{"environment", `{"slug": "e", "type": "live"}`, "type", CodeInvalid},
		{"environment", `{"slug": "e", "region": "` + long(64) + `"}`, "region", CodeTooLong},
		{"environment", `{"slug": "e", "domains": ["a b"]}`, "domains[0]", CodeInvalid},
		{"environment", `{"slug": "e", "members": [{"userId": "u"}]}`, "members[0]", CodeInvalid},
		{"environment", `{"slug": "e", "database": {"driver": "oracle"}}`, "database.driver", CodeInvalid},
		{"environment", `{"slug": "e", "database": {"driver": "postgres", "url": "postgres://u:hunter2@h/db"}}`, "database.url", CodeInvalid},
		{"environment", `{"slug": "e", "environments": []}`, "environments", CodeUnknownField},
		{"plan", `{"name": "Pro"}`, "name", CodeInvalid},
		{"plan", `{"quotas": {}}`, "name", CodeInvalid},
		{"plan", `{"name": "pro", "quotas": {"burst": 1.5}}`, "quotas.burst", CodeInvalid},
		{"tenantPatch", `"x"`, "", CodeInvalid},
		{"tenantPatch", `{"status": "suspended"}`, "status", CodeUnknownField},
		{"tenantPatch", `{"keepAlias": "yes"}`, "keepAlias", CodeInvalid},
		{"tenantPatch", `{"aliasExpiresAt": "soon"}`, "aliasExpiresAt", CodeInvalid},
		{"tenantPatch", `{"slug": "a b"}`, "slug", CodeInvalid},
		{"environmentPatch", `{"isDefault": true}`, "isDefault", CodeUnknownField},
		{"environmentPatch", `{"region": 7}`, "region", CodeInvalid},
		{"environmentPatch", `{"database": {"name": "x"}}`, "database", CodeInvalid},
	}
}

// Promise: what is wrong with a request's body is said with its place and a code that stays, without repeating a secret.
func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	for _, b := range badBodies() {
		_, err := decoders[b.decoder](strings.NewReader(b.text))
		var bad FieldErrors
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Field != b.field || bad[0].Code != b.code || bad[0].Message == "" || Code(err) != b.code {
			t.Errorf("%s %s: got %v, code %q; want %q at %q", b.decoder, b.text, err, Code(err), b.code, b.field)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a secret", b.text)
		}
	}
	_, err := DecodeTenant(strings.NewReader(`{"slug": "A", "colour": 1}`))
	var bad FieldErrors
	if !errors.As(err, &bad) || len(bad) != 2 || Code(err) != CodeInvalid {
		t.Errorf("two problems: %v", err)
	}
}

// Promise: what is left out of a patch stays, null and empty values remove, and all the rest arrives.
func TestDecodePatches(t *testing.T) {
	t.Parallel()
	p, err := DecodeTenantPatch(strings.NewReader(`{"slug": "b", "keepAlias": true, "aliasExpiresAt": "2030-01-01T00:00:00+01:00", "subscriptionExpiresAt": null, "upstreams": [], "metadata": {}, "quotas": {}}`))
	if err != nil || p.Slug != "b" || !p.Alias.Keep || p.Alias.ExpiresAt.Hour() != 23 || p.SubscriptionExpiresAt == nil || !p.SubscriptionExpiresAt.IsZero() ||
		p.Upstreams == nil || p.Metadata == nil || p.Quotas == nil || p.Name != "" || p.SecurityPolicy != nil {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := DecodeTenantPatch(strings.NewReader(`{}`)); err != nil || p.SubscriptionExpiresAt != nil || p.Upstreams != nil || p.Metadata != nil || p.Quotas != nil {
		t.Errorf("got %+v, %v", p, err)
	}
	e, err := DecodeEnvironmentPatch(strings.NewReader(`{"region": null, "database": {"driver": "sqlite", "url": null}, "name": "E"}`))
	if err != nil || e.Region == nil || *e.Region != "" || e.Database == nil || e.Database.URL == nil || e.Name != "E" || e.Slug != "" {
		t.Errorf("got %+v, %v", e, err)
	}
}

// FuzzDecode holds each decoder to: no panic, an error is FieldErrors with a known code and a message that is short, and
// what comes without one is what a change takes or refuses in the same manner.
func FuzzDecode(f *testing.F) {
	for _, b := range badBodies() {
		f.Add(b.text)
	}
	f.Add(`{"slug": "a", "name": "A", "environments": [{"slug": "e", "isDefault": true, "domains": ["x.test"], "database": {"driver": "sqlite"}}]}`)
	f.Add(`{"region": null, "keepAlias": false, "aliasExpiresAt": null, "upstreams": ["pool:a"], "metadata": {"a": "\ud83d\ude00"}}`)
	f.Add(`{"name": "pro", "quotas": {"burst": 9007199254740992}}`)
	known := map[string]bool{CodeInvalid: true, CodeUnknownField: true, CodeTooLong: true, CodeDuplicate: true}
	f.Fuzz(func(t *testing.T, text string) {
		for name, decode := range decoders {
			v, err := decode(strings.NewReader(text))
			if err == nil {
				switch v := v.(type) {
				case *DocumentTenant:
					if _, err = checkTenant(*v); err != nil {
						t.Errorf("%s %q: read, and then refused: %v", name, text, err)
					}
				case *DocumentEnvironment:
					if _, err = checkEnvironment(*v); err != nil {
						t.Errorf("%s %q: read, and then refused: %v", name, text, err)
					}
				case *DocumentPlan:
					if _, err = checkPlan(*v); err != nil {
						t.Errorf("%s %q: read, and then refused: %v", name, text, err)
					}
				}
				continue
			}
			var bad FieldErrors
			if !errors.As(err, &bad) || len(bad) == 0 || len(bad) > maxProblems {
				t.Fatalf("%s %q: %v", name, text, err)
			}
			for _, f := range bad {
				if !known[f.Code] || f.Message == "" || len(f.Message) > 1000 || len(f.Field) > 1000 {
					t.Errorf("%s %q: %+v", name, text, f)
				}
			}
		}
	})
}
