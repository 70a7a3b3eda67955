package router

import (
	"slices"
	"strings"
	"testing"
)

// TestSubdomain keeps the promises of NewSubdomain's comment, one row for each, in both orders of the patterns.
func TestSubdomain(t *testing.T) {
	const (
		plain  = "{tenant}.app.example.com"
		dashes = "{tenant}--{environment}.app.example.com"
		dots   = "{environment}.{tenant}.app.example.com"
	)
	reserved := []string{"www", "API", "xn--mller-kva", "a--b"}
	for _, c := range []struct {
		name     string
		patterns []string
		host     string
		want     string
	}{
		{"one label", []string{plain}, "acme.app.example.com", "slug:acme"},
		{"an id", []string{plain}, acmeID + ".app.example.com", "id:" + acmeID},
		{"reserved", []string{plain}, "www.app.example.com", "nothing"},
		{"reserved in other case", []string{plain}, "api.app.example.com", "nothing"},
		{"reserved label that is no slug", []string{plain}, "xn--mller-kva.app.example.com", "nothing"},
		{"reserved label with dashes", []string{plain, dashes}, "a--b.app.example.com", "nothing"},
		{"reserved tenant with environment", []string{plain, dashes}, "www--dev.app.example.com", "nothing"},
		{"base domain", []string{plain}, "app.example.com", "nothing"},
		{"above the base domain", []string{plain}, "example.com", "nothing"},
		{"other domain", []string{plain}, "acme.app.example.org", "nothing"},
		{"end of a label is no suffix", []string{plain}, "acme.xapp.example.com", "nothing"},
		{"the same letters without dot", []string{plain}, "acmeapp.example.com", "nothing"},
		{"more labels", []string{plain}, "dev.acme.app.example.com", "nothing"},
		{"no host", []string{plain}, "", "nothing"},
		{"address", []string{plain}, "[::1]", "nothing"},
		{"dashes without a pattern for them", []string{plain}, "acme--dev.app.example.com", CodeTenantInvalid},
		{"international label", []string{plain}, "xn--bcher-kva.app.example.com", CodeTenantInvalid},
		{"tenant and environment", []string{plain, dashes}, "acme--dev.app.example.com", "slug:acme/dev"},
		{"tenant alone beside dashes", []string{plain, dashes}, "acme.app.example.com", "slug:acme"},
		{"dashes alone do not fit a tenant", []string{dashes}, "acme.app.example.com", "nothing"},
		{"two times dashes", []string{plain, dashes}, "a--c--d.app.example.com", CodeTenantInvalid},
		{"three dashes", []string{plain, dashes}, "a---c.app.example.com", CodeTenantInvalid},
		{"international label is never split", []string{plain, dashes}, "xn--bcher-kva.app.example.com", CodeTenantInvalid},
		{"nor with dashes alone", []string{dashes}, "xn--dev.app.example.com", CodeTenantInvalid},
		{"environment before tenant", []string{plain, dots}, "dev.acme.app.example.com", "slug:acme/dev"},
		{"tenant alone beside dots", []string{plain, dots}, "acme.app.example.com", "slug:acme"},
		{"fewer labels", []string{dots}, "acme.app.example.com", "nothing"},
		{"more labels than dots", []string{dots}, "x.dev.acme.app.example.com", "nothing"},
		{"all three", []string{plain, dashes, dots}, "acme--dev.app.example.com", "slug:acme/dev"},
		{"bad environment", []string{dots}, "a--c.acme.app.example.com", CodeTenantInvalid},
		{"reserved names are tenants only", []string{dots}, "www.acme.app.example.com", "slug:acme/www"},
		{"reserved tenant below", []string{dots}, "dev.www.app.example.com", "nothing"},
		{"environment id", []string{dots}, acmeDevID + ".acme.app.example.com", "slug:acme/" + acmeDevID},
		{"longer end wins", []string{plain, dots, "{tenant}.eu.app.example.com"}, "acme.eu.app.example.com", "slug:acme"},
		{"base domain of another pattern", []string{plain, "{tenant}.eu.app.example.com"}, "eu.app.example.com", "nothing"},
		{"literal in the label", []string{plain, "{tenant}-preview.app.example.com"}, "acme-preview.app.example.com", "slug:acme"},
		{"literal label first", []string{"api.{tenant}.example.com"}, "api.acme.example.com", "slug:acme"},
		{"other literal label first", []string{"api.{tenant}.example.com"}, "web.acme.example.com", "nothing"},
		{"literal before", []string{"t-{tenant}.example.com"}, "t-acme.example.com", "slug:acme"},
		{"nothing after the literal", []string{"t{tenant}.example.com"}, "t.example.com", CodeTenantInvalid},
		{"more literals win", []string{dashes, "{tenant}--prod.app.example.com"}, "acme--prod.app.example.com", "slug:acme"},
		{"the next pattern that makes sense", []string{dashes, "{tenant}-prod.app.example.com"}, "acme--my-prod.app.example.com", "slug:acme/my-prod"},
		{"single label base", []string{"{tenant}.localhost"}, "acme.localhost", "slug:acme"},
		{"pattern in capitals and with final dot", []string{"{tenant}.App.Example.COM."}, "acme.app.example.com", "slug:acme"},
		{"international base domain", []string{"{tenant}.müller.example"}, "acme.xn--mller-kva.example", "slug:acme"},
	} {
		for _, patterns := range [][]string{c.patterns, backwards(c.patterns)} {
			s, err := NewSubdomain(patterns, reserved)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if got := identify(s, &Request{Host: c.host}); got != c.want {
				t.Errorf("%s: %q with %q gives %s, want %s", c.name, c.host, patterns, got, c.want)
			}
		}
	}
}

func backwards(s []string) []string {
	r := slices.Clone(s)
	slices.Reverse(r)
	return r
}

// TestSubdomainPatterns keeps the promise that a pattern which cannot work is an error that says why.
func TestSubdomainPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		want     string
	}{
		{nil, "at least one pattern"},
		{[]string{""}, "no {tenant}"},
		{[]string{"app.example.com"}, "no {tenant}"},
		{[]string{"{environment}.example.com"}, "no {tenant}"},
		{[]string{"{tenant}.{tenant}.example.com"}, "{tenant} more than once"},
		{[]string{"{environment}.{environment}.{tenant}.example.com"}, "{environment} more than once"},
		{[]string{"{tenant}{environment}.example.com"}, "without anything between"},
		{[]string{"{tenant}-{environment}.example.com"}, `use "--"`},
		{[]string{"{tenant}"}, "ends with a variable"},
		{[]string{"example.{tenant}"}, "ends with a variable"},
		{[]string{"{tenant}."}, "empty"},
		{[]string{"*.{tenant}.example.com"}, "wildcard"},
		{[]string{"{tenant}.*.example.com"}, "wildcard"},
		{[]string{"{tenant}*.example.com"}, "wildcard"},
		{[]string{"{tenant}.example.com:8080"}, "port"},
		{[]string{"{tenant}.exam_ple.com"}, "character"},
		{[]string{"{tenant}_x.example.com"}, "character"},
		{[]string{"https://{tenant}.example.com"}, "port"},
		{[]string{"{tenant}.example.com/x"}, "character"},
		{[]string{"{tenant}..example.com"}, "empty"},
		{[]string{".{tenant}.example.com"}, "empty"},
		{[]string{"{tenant}.127.0.0.1"}, "IP address"},
		{[]string{"{tenant}.[::1]"}, "port"},
		{[]string{"{Tenant}.example.com"}, "no {tenant}"},
		{[]string{"{tenant}.{region}.example.com"}, "braces"},
		{[]string{"{{tenant}}.example.com"}, "braces"},
		{[]string{"xn--{tenant}.example.com"}, "internationalized"},
		{[]string{"-{tenant}.example.com"}, "hyphen"},
		{[]string{"{tenant}." + strings.Repeat("abcdefgh.", 30) + "com"}, "too long"},
		{[]string{"{tenant}." + strings.Repeat("x", 64) + ".com"}, "label"},
		{[]string{strings.Repeat("x", 64) + "{tenant}.com"}, "label"},
		{[]string{strings.Repeat("{", 2000)}, "too long"},
		{[]string{"{tenant}.example.com", "{tenant}.Example.com."}, "same hosts"},
		{[]string{"{tenant}--{environment}.example.com", "{environment}--{tenant}.example.com"}, "same hosts"},
	} {
		_, err := NewSubdomain(c.patterns, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewSubdomain(%q): %v, want an error with %q", c.patterns, err, c.want)
		}
	}
	for _, name := range []string{"", "a.b", "a_b", "*", "[::1]", "a b"} {
		if _, err := NewSubdomain([]string{"{tenant}.example.com"}, []string{name}); err == nil {
			t.Errorf("the reserved name %q is accepted", name)
		}
	}
	if _, err := NewSubdomain([]string{"{tenant}.example.com"}, DefaultReserved()); err != nil {
		t.Error(err)
	}
}

// FuzzSubdomain holds for any pattern and host: no panic; a name is only ever taken out of the host, by the letters
// around it; and putting it back into the pattern gives the host.
func FuzzSubdomain(f *testing.F) {
	f.Add("{tenant}.app.example.com", "acme.app.example.com")
	f.Add("{tenant}--{environment}.app.example.com", "acme--dev.app.example.com")
	f.Add("{environment}.{tenant}.app.example.com", "dev.acme.app.example.com:80")
	f.Add("a-{environment}--x--{tenant}-b.example.com", "a-dev--x--acme-b.example.com")
	f.Add("{tenant}--{environment}.x", "xn--a--b.x")
	f.Fuzz(func(t *testing.T, pattern, hostport string) {
		s, err := NewSubdomain([]string{pattern}, nil)
		if err != nil {
			return
		}
		host, err := NormalizeHost(hostport)
		if err != nil {
			return
		}
		y, err := s.Identify(&Request{Host: host})
		if err != nil || y.empty() {
			return
		}
		filled := strings.NewReplacer(tenantVariable, y.Reference.Key, environmentVariable, y.Reference.Environment).Replace(pattern)
		back, err := NormalizeHost(filled)
		if err != nil || back != host {
			t.Fatalf("pattern %q on %q yields %+v, which is %q", pattern, host, y.Reference, filled)
		}
	})
}

// TestDomain keeps the promise that a host name is asked for softly, and only one that can be somebody's domain.
func TestDomain(t *testing.T) {
	s := must(NewDomain())
	for host, want := range map[string]string{
		"app.acme.test":     "host:app.acme.test",
		"xn--mller-kva.com": "host:xn--mller-kva.com",
		"1.2.3.4.example":   "host:1.2.3.4.example",
		"a.3com":            "host:a.3com",
		"":                  "nothing",
		"localhost":         "nothing",
		"127.0.0.1":         "nothing",
		"127.1":             "nothing",
		"127.0.0.0x1":       "nothing",
		"127.0.0.0x":        "nothing",
		"[::1]":             "nothing",
	} {
		if got := identify(s, &Request{Host: host}); got != want {
			t.Errorf("domain on %q gives %s, want %s", host, got, want)
		}
	}
	if y, _ := s.Identify(&Request{Host: "app.acme.test"}); !y.Soft || y.Authenticated || y.Fallback {
		t.Errorf("domain yields %+v, want it soft and nothing else", y)
	}
}
