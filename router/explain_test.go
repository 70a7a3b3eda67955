package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: an explanation comes to the same decision or refusal as Route, whatever the sources say; it leaves keys of
// credentials out; and it says of each source what it found and whether it agrees.
func TestExplainIsWhatRouteDoes(t *testing.T) {
	for _, agreement := range []Agreement{AgreementRequired, AgreementAuthenticated, AgreementFirst} {
		w := newWorld()
		key, ref := apiKey(t, "production")
		w.key(ref.Key, "acme", "production")
		w.byRef[registry.Reference{Kind: registry.KindSlug, Key: "initech"}].Tenant.Status = registry.StatusSuspended
		rt, err := New(Config{
			Sources: []Source{
				must(NewSubdomain([]string{"{tenant}.app.example.com", "{tenant}--{environment}.app.example.com"}, nil)), must(NewDomain()),
				must(NewPath("/t/{tenant}", false)), must(NewHeader("", "", false)), apiKeys(t, false),
			},
			Resolver: w, Agreement: agreement,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"acme.app.example.com", "acme--dev.app.example.com", "initech.app.example.com", "globex.test", "nobody.test", "bad host", ""} {
			for _, path := range []string{"/", "/t/acme/x", "/t/globex/x", "/t/nobody/x", "/t/a%2Fb/x"} {
				for _, header := range []string{"", "acme", "globex", "no slug"} {
					for _, secret := range []string{"", key, "tg_production_nonsense"} {
						name := fmt.Sprintf("%s %q %s %q %.6s", agreement, host, path, header, secret)
						request := func() *Request {
							r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
							r.Host = host
							if header != "" {
								r.Header.Set(DefaultTenantHeader, header)
							}
							if secret != "" {
								r.Header.Set("X-API-Key", secret)
							}
							return &Request{HTTP: r, Now: testNow}
						}
						d, err := rt.Route(t.Context(), request())
						e := rt.Explain(t.Context(), request())
						checkExplanation(t, name, e, d, err)
						text, jsonErr := json.Marshal(e)
						if jsonErr != nil || secret == key && (strings.Contains(string(text), key) || strings.Contains(string(text), ref.Key)) {
							t.Errorf("%s: shows a key: %s %v", name, text, jsonErr)
						}
					}
				}
			}
		}
	}
}

func checkExplanation(t *testing.T, name string, e *Explanation, d Decision, err error) {
	t.Helper()
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		if e.Refusal == nil || e.Refusal.Code != refusal.Code || e.Refusal.Status != refusal.Status {
			t.Errorf("%s: %+v, want %s", name, e.Refusal, refusal.Code)
		}
	case e.Refusal != nil || e.Tenant == nil || e.Tenant.ID != d.Resolved.Tenant.ID.String() || e.Environment.ID != d.Resolved.Environment.ID.String() ||
		e.Source != d.Source || e.Authenticated != d.Authenticated:
		t.Errorf("%s: %+v, want %+v", name, e, d)
	}
	deciders := 0
	for _, s := range e.Sources {
		if s.Decides {
			deciders++
			if e.Source != "" && s.Name != e.Source {
				t.Errorf("%s: %s decides, and %s does", name, s.Name, e.Source)
			}
		}
		if s.Outcome == OutcomeError && e.Refusal == nil {
			t.Errorf("%s: admitted with an error of %s", name, s.Name)
		}
		if e.Refusal == nil && e.Agreement == "required" && s.Agrees != nil && !*s.Agrees {
			t.Errorf("%s: admitted, and %s disagrees", name, s.Name)
		}
	}
	if deciders > 1 || e.Refusal == nil && deciders != 1 {
		t.Errorf("%s: %d sources decide", name, deciders)
	}
	if e.Refusal != nil && e.Refusal.Code == CodeTenantConflict {
		disagree := false
		for _, s := range e.Sources {
			disagree = disagree || s.Agrees != nil && !*s.Agrees
		}
		if !disagree {
			t.Errorf("%s: a conflict, and nobody disagrees: %+v", name, e.Sources)
		}
	}
}
