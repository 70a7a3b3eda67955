package router

import (
	"net/netip"
	"strings"
	"testing"
)

// values are placeholders.
type values map[string]any

func (v values) Get(key string) (any, bool) {
	value, ok := v[key]
	return value, ok
}

// TestPlaceholder keeps the promises of NewPlaceholder's comment.
func TestPlaceholder(t *testing.T) {
	s := must(NewPlaceholder("{http.vars.org}", "http.vars.env"))
	for _, c := range []struct {
		values Placeholders
		want   string
	}{
		{nil, "nothing"},
		{values{}, "nothing"},
		{values{"http.vars.org": nil}, "nothing"},
		{values{"http.vars.org": ""}, "nothing"},
		{values{"http.vars.org": " \n"}, "nothing"},
		{values{"http.vars.org": " Acme "}, "slug:acme"},
		{values{"http.vars.org": acmeID, "http.vars.env": "dev"}, "id:" + acmeID + "/dev"},
		{values{"http.vars.env": "dev"}, "none:/dev"},
		{values{"http.vars.org": 42}, "slug:42"},
		{values{"http.vars.org": netip.MustParseAddr("::1")}, CodeTenantInvalid},
		{values{"http.vars.org": "CN=acme,O=Acme"}, CodeTenantInvalid},
		{values{"http.vars.org": "{http.vars.org}"}, CodeTenantInvalid},
		{values{"http.vars.org": strings.Repeat("a", 1<<16)}, CodeTenantInvalid},
		{values{"http.vars.org": "acme", "http.vars.env": "a b"}, CodeTenantInvalid},
	} {
		r := request(t, "", "/")
		r.Placeholders = c.values
		if got := identify(s, r); got != c.want {
			t.Errorf("%v gives %s, want %s", c.values, got, c.want)
		}
	}
	for _, keys := range [][2]string{{"", ""}, {"{}", ""}, {"{a", ""}, {"a}", ""}, {"{a}{b}", ""}, {"a", "{a}"}, {"a", "{"}, {"x{a}", ""}} {
		if _, err := NewPlaceholder(keys[0], keys[1]); err == nil {
			t.Errorf("NewPlaceholder(%q) is accepted", keys)
		}
	}
}

// TestDefault keeps the promise that the default is checked when it is made, and yields only as a fallback.
func TestDefault(t *testing.T) {
	s := must(NewDefault("ACME", "production"))
	if got := identify(s, request(t, "", "/")); got != "slug:acme/production" {
		t.Errorf("default gives %s", got)
	}
	if y, _ := s.Identify(nil); !y.Fallback || y.Soft || y.Authenticated {
		t.Errorf("default yields %+v", y)
	}
	for _, names := range [][2]string{{"", ""}, {"", "production"}, {"a_b", ""}, {"acme", "a--b"}} {
		if _, err := NewDefault(names[0], names[1]); err == nil {
			t.Errorf("NewDefault(%q) is accepted", names)
		}
	}
}
