package router

import (
	"net/http"
	"strings"
	"testing"
)

// TestHeader keeps the promises of NewHeader's comment.
func TestHeader(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		name                string
		tenant, environment []string
		want                string
	}{
		{"none", nil, nil, "nothing"},
		{"slug", []string{"acme"}, nil, "slug:acme"},
		{"capitals", []string{"ACME"}, nil, "slug:acme"},
		{"blanks around", []string{" \tacme "}, nil, "slug:acme"},
		{"id", []string{acmeID}, nil, "id:" + acmeID},
		{"id in capitals", []string{strings.ToUpper(acmeID)}, nil, "id:" + acmeID},
		{"empty", []string{""}, nil, "nothing"},
		{"blank", []string{"  "}, []string{"\t"}, "nothing"},
		{"with environment", []string{"acme"}, []string{"dev"}, "slug:acme/dev"},
		{"with environment's id", []string{"acme"}, []string{acmeDevID}, "slug:acme/" + acmeDevID},
		{"environment alone", nil, []string{"Dev"}, "none:/dev"},
		{"environment's id alone", nil, []string{strings.ToUpper(acmeDevID)}, "environment_id:" + acmeDevID},
		{"twice the same", []string{"acme", "acme"}, nil, "slug:acme"},
		{"twice the same in other case", []string{"acme", " ACME"}, nil, "slug:acme"},
		{"twice different", []string{"acme", "globex"}, nil, CodeTenantInvalid},
		{"once empty", []string{"", "acme"}, nil, CodeTenantInvalid},
		{"once empty, the other way", []string{"acme", ""}, nil, CodeTenantInvalid},
		{"environments different", []string{"acme"}, []string{"dev", "production"}, CodeTenantInvalid},
		{"list", []string{"acme, globex"}, nil, CodeTenantInvalid},
		{"underscore", []string{"a_b"}, nil, CodeTenantInvalid},
		{"two dashes", []string{"a--b"}, nil, CodeTenantInvalid},
		{"quoted", []string{`"acme"`}, nil, CodeTenantInvalid},
		{"NUL", []string{"acme\x00"}, nil, CodeTenantInvalid},
		{"beyond ASCII", []string{"a\u212ame"}, nil, CodeTenantInvalid}, // the Kelvin sign
		{"too long", []string{long}, nil, CodeTenantInvalid},
		{"far too long", []string{strings.Repeat(" ", 1<<20) + "acme"}, nil, CodeTenantInvalid},
		{"id without hyphens", []string{strings.ReplaceAll(acmeID, "-", "")}, nil, "slug:" + strings.ReplaceAll(acmeID, "-", "")},
		{"id in braces", []string{"{" + acmeID + "}"}, nil, CodeTenantInvalid},
		{"bad environment alone", nil, []string{"../x"}, CodeTenantInvalid},
	} {
		for _, names := range [][2]string{{"", ""}, {"x-org", "X-STAGE"}} {
			s := must(NewHeader(names[0], names[1], false))
			r := request(t, "", "/")
			tenant, environment := DefaultTenantHeader, DefaultEnvironmentHeader
			if names[0] != "" {
				tenant, environment = names[0], names[1]
			}
			for _, v := range c.tenant {
				r.HTTP.Header.Add(tenant, v)
			}
			for _, v := range c.environment {
				r.HTTP.Header.Add(environment, v)
			}
			if got := identify(s, r); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	}
}

// TestHeaderFromTrusted keeps the promise that the headers of anybody but a trusted proxy are not even looked at.
func TestHeaderFromTrusted(t *testing.T) {
	s := must(NewHeader("", "", true))
	r := request(t, "", "/")
	for value, want := range map[string]string{"acme": "slug:acme", "a_b": CodeTenantInvalid} {
		r.HTTP.Header.Set(DefaultTenantHeader, value)
		r.TrustedProxy = false
		if got := identify(s, r); got != "nothing" {
			t.Errorf("%q of a stranger gives %s", value, got)
		}
		r.TrustedProxy = true
		if got := identify(s, r); got != want {
			t.Errorf("%q of a trusted proxy gives %s, want %s", value, got, want)
		}
	}
}

// TestHeaderNames keeps the promise that a header that can never work is an error.
func TestHeaderNames(t *testing.T) {
	for _, names := range [][2]string{
		{"X Tenant", ""},
		{"X-Tenant:", ""},
		{"", "X-Ümwelt"},
		{"Host", ""},
		{"", "host"},
		{"X-A", "x-a"},
		{"", "x-tenant-id"},
		{strings.Repeat("x", 200), ""},
		{"X-A\r\n", ""},
		{"{x}", ""},
	} {
		if _, err := NewHeader(names[0], names[1], false); err == nil {
			t.Errorf("NewHeader(%q) is accepted", names)
		}
	}
}

// FuzzHeaderName holds for any name that is accepted: net/http finds the header under it in any case of its letters.
func FuzzHeaderName(f *testing.F) {
	for _, s := range []string{"X-Tenant-ID", "x_tenant", "HOST", "X Tenant", "ß", "x-\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, err := NewHeader(name, "X-Fuzz-Environment", false)
		if err != nil || name == "" {
			return
		}
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
			r := &Request{HTTP: &http.Request{Header: http.Header{}}}
			r.HTTP.Header.Set(spelling, "acme")
			if got := identify(s, r); got != "slug:acme" {
				t.Fatalf("NewHeader(%q) gives %s for %q", name, got, spelling)
			}
		}
	})
}

// FuzzName holds for any bytes: a name is a canonical id or a valid slug, the same when normalised again and in capitals.
func FuzzName(f *testing.F) {
	for _, s := range []string{"acme", "ACME", acmeID, strings.ToUpper(acmeID), "a--b", "-a", "a_b", "\u212a", strings.Repeat("a", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, id, ok := normalizeName(in)
		if !ok {
			return
		}
		for _, again := range []string{out, strings.ToUpper(out)} {
			if got, id2, ok := normalizeName(again); !ok || id2 != id || got != out {
				t.Fatalf("%q is %q, then %q is %q", in, out, again, got)
			}
		}
		if !strings.EqualFold(in, out) || len(in) != len(out) || strings.Trim(out, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Fatalf("%q becomes %q", in, out)
		}
	})
}
