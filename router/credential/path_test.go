package credential

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Promise: a claim's name is read as documented, and by itself: never in one way or another depending on a token.
func TestParsePath(t *testing.T) {
	for _, row := range []struct {
		text  string
		names []string // nil: an error
	}{
		{"tenant", []string{"tenant"}},
		{"a.b", []string{"a", "b"}},
		{"a.b.c", []string{"a", "b", "c"}},
		{"with-dash_and:colon", []string{"with-dash_and:colon"}},
		{"https://example.com/tenant", []string{"https://example.com/tenant"}},
		{"https://example.com/a.b", []string{"https://example.com/a.b"}},
		{"[https://example.com/claims].tenant", []string{"https://example.com/claims", "tenant"}},
		{"[urn.example]", []string{"urn.example"}},
		{"[urn.example].id", []string{"urn.example", "id"}},
		{"a.[b.c].d", []string{"a", "b.c", "d"}},
		{"[a]", []string{"a"}},
		{"[a b]", []string{"a b"}},
		{"a.b.c.d.e.f.g.h", []string{"a", "b", "c", "d", "e", "f", "g", "h"}},
		{"a.b.c.d.e.f.g.h.i", nil},
		{"", nil},
		{".", nil},
		{".a", nil},
		{"a.", nil},
		{"a..b", nil},
		{"[]", nil},
		{"[a", nil},
		{"a]", nil},
		{"a[b]", nil},
		{"[a]b", nil},
		{"[a].", nil},
		{"[[a]]", nil},
		{"https://example.com/[a]", nil},
	} {
		p, err := ParsePath(row.text)
		if row.names == nil {
			if err == nil {
				t.Errorf("%q was read as %q", row.text, p.names)
			}
			continue
		}
		if err != nil || !slices.Equal(p.names, row.names) || p.String() != row.text || p.IsZero() {
			t.Errorf("%q was read as %q, %v", row.text, p.names, err)
		}
	}
}

// Promise: a path finds exactly its claim; missing, null and wrong are told apart.
func TestFindClaim(t *testing.T) {
	object, err := parseObject([]byte(`{"a":{"b":"nested","n":null},"a.b":"dotted","s":"text","list":[{"x":1}],"":"empty","https://e.x/t":"url"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path string
		want any
		bad  bool
	}{
		{"a.b", "nested", false},
		{"[a.b]", "dotted", false},
		{"https://e.x/t", "url", false},
		{"s", "text", false},
		{"none", nil, false},
		{"none.b", nil, false},
		{"a.none", nil, false},
		{"a.n", nil, false},
		{"a.n.x", nil, false},
		{"A.b", nil, false},
		{"s.x", nil, true},
		{"list.x", nil, true},
		{"list.0", nil, true},
	} {
		p, err := ParsePath(row.path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.find(object)
		if !reflect.DeepEqual(got, row.want) || (err != nil) != row.bad {
			t.Errorf("%s: %v, %v", row.path, got, err)
		}
		if row.bad {
			wantReason(t, err, ReasonClaimType)
		}
	}
}

// Promise: what a token says comes out under the names that are configured, in each form that is allowed, and what it
// does not say is empty.
func TestClaims(t *testing.T) {
	names := ClaimNames{
		Tenant: "org.id", Environment: "[urn.example].env", User: "https://example.com/user", Roles: "realm_access.roles",
		Methods: Unread, Context: Unread, AuthTime: "at", Extra: []string{"mfa", "groups", "level", "missing"},
	}
	for _, row := range []struct {
		name   string
		claims map[string]any
		want   Identity
	}{
		{"all", map[string]any{
			"org": map[string]any{"id": "acme"}, "urn.example": map[string]any{"env": "dev"}, "https://example.com/user": "Zoë",
			"realm_access": map[string]any{"roles": []string{"a b", "c"}}, "amr": 5, "acr": 5, "at": 1.5,
			"mfa": true, "groups": []string{"x", "y"}, "level": 3,
		}, Identity{
			Tenant: "acme", Environment: "dev", User: "Zoë", Roles: []string{"a b", "c"}, AuthTime: mustTime(t, "1.5"),
			Extra: map[string][]string{"mfa": {"true"}, "groups": {"x", "y"}, "level": {"3"}},
		}},
		{"nothing", nil, Identity{}},
		{"nulls", map[string]any{"org": json.RawMessage("null"), "realm_access": map[string]any{"roles": json.RawMessage("null")}}, Identity{}},
		{"empty", map[string]any{"org": map[string]any{"id": ""}, "realm_access": map[string]any{"roles": ""}, "groups": []string{}}, Identity{Extra: map[string][]string{"groups": {}}}},
		{"one role", map[string]any{"realm_access": map[string]any{"roles": "admin"}}, Identity{Roles: []string{"admin"}}},
		{"roles with spaces", map[string]any{"realm_access": map[string]any{"roles": " a  b "}}, Identity{Roles: []string{"a", "b"}}},
		{"roles with commas", map[string]any{"realm_access": map[string]any{"roles": "owner, member"}}, Identity{Roles: []string{"owner", "member"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			payload := map[string]any{"exp": start.Unix() + 60}
			for name, v := range row.claims {
				payload[name] = v
			}
			v := newVerifier(t, VerifierOptions{Keys: secretKeys(t), Claims: names})
			got, err := verify(v, sign(t, "HS256", "", testSecret, payload))
			if err != nil {
				t.Fatal(err)
			}
			row.want.ExpiresAt = start.Add(60e9)
			if !reflect.DeepEqual(*got, row.want) {
				t.Errorf("got  %+v\nwant %+v", *got, row.want)
			}
		})
	}
	wantReason(t, MissingClaim("org.id"), ReasonClaimMissing)
}

// Promise: the age of a session counts from the sign-in, and from the token's issue where that is all it says.
func TestSignedInAt(t *testing.T) {
	issued, signedIn := start, start.Add(-3600e9)
	if got := (&Identity{IssuedAt: issued, AuthTime: signedIn}).SignedInAt(); got != signedIn {
		t.Errorf("got %s", got)
	}
	if got := (&Identity{IssuedAt: issued}).SignedInAt(); got != issued {
		t.Errorf("got %s", got)
	}
	if got := (&Identity{}).SignedInAt(); !got.IsZero() {
		t.Errorf("got %s", got)
	}
}

// Promise: JSON that two parsers could read in two ways is refused.
func TestParseObject(t *testing.T) {
	for _, bad := range []string{
		"", " ", "null", "1", `"x"`, "[]", "{", "}", "{}}", "{} {}", "{}x", `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{'a':1}`, `{1:2}`,
		`{"a":1,"a":1}`, `{"a":{"b":1,"b":2}}`, `{"a":[{"b":1,"b":2}]}`, `{"a":1,"\u0061":2}`, "{\"a\":\"\xff\"}", "{\"\xff\":1}",
		`{"a":01}`, `{"a":NaN}`, `{"a":+1}`, "{\"a\":\"\n\"}", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "\ufeff{}",
	} {
		if object, err := parseObject([]byte(bad)); err == nil {
			t.Errorf("%q was read as %v", bad, object)
		}
	}
	got, err := parseObject([]byte(` {"a":1,"A":2,"b":{"a":[1,"x",null,true,{}]},"c":[]} ` + "\n"))
	want := map[string]any{
		"a": json.Number("1"), "A": json.Number("2"), "c": []any{},
		"b": map[string]any{"a": []any{json.Number("1"), "x", nil, true, map[string]any{}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}
