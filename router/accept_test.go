package router

import (
	"strings"
	"testing"
)

// TestPrefersHTML keeps the promise that browsers get a page and everybody else JSON.
func TestPrefersHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"":    false,
		"*/*": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": true,
		"text/html, application/xhtml+xml, image/jxr, */*":                                      true,
		"text/html":                                           true,
		"TEXT/HTML; charset=utf-8 ; Q=0.9":                    true,
		"application/json":                                    false,
		"application/problem+json":                            false,
		"application/json, text/plain, */*":                   false,
		"text/html, application/json":                         false,
		"application/json, text/html;q=0.9":                   false,
		"application/json;q=0.8, text/html;q=0.9":             true,
		"application/problem+json;q=0.1, text/html;q=0.2":     true,
		"text/html;q=0":                                       false,
		"text/html;q=0.5, */*":                                false,
		"text/html;q=0.5, application/*;q=0.6, */*;q=0.1":     false,
		"text/html;q=0.5, application/*;q=0.4, */*":           true,
		"text/html;q=1.001":                                   false,
		"text/html;q=2":                                       false,
		"text/html;q=":                                        false,
		"text/html;q=0.1234":                                  false,
		"text/html;q=1.000":                                   true,
		"text/html;q=.5":                                      false,
		"text/html;q=0.x":                                     false,
		"text/htmlx, x/text/html":                             false,
		"text/*":                                              false,
		";;;,,,=;q=;":                                         false,
		strings.Repeat("a/b,", 31) + "text/html":              true,
		strings.Repeat("a/b,", 32) + "text/html":              false,
		strings.Repeat("a", 1100) + ",text/html":              false,
		"text/html," + strings.Repeat("a", 1<<20):             true,
		strings.Repeat(" ", 1015) + "text/html,application/x": false,
	} {
		if got := PrefersHTML(accept); got != want {
			t.Errorf("%.80q: %t, want %t", accept, got, want)
		}
	}
}

// FuzzPrefersHTML holds for any header: no panic, and never HTML for who does not name it.
func FuzzPrefersHTML(f *testing.F) {
	f.Add("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	f.Add("application/json;q=0.5, text/html;q=0.4")
	f.Fuzz(func(t *testing.T, accept string) {
		lower := strings.ToLower(accept)
		if PrefersHTML(accept) && !strings.Contains(lower, "text/html") && !strings.Contains(lower, "application/xhtml+xml") {
			t.Fatalf("%q prefers HTML", accept)
		}
	})
}
