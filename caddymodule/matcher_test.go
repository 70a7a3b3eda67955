package caddymodule

import (
	"net/http"
	"testing"
)

// TestMatcher keeps the promise that all criteria must fit, and of one criterion any value.
func TestMatcher(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{}, subdomains())
	_, r := serve(t, h, http.MethodGet, "http://acme.app.test/", nil)
	for _, tt := range []struct {
		name string
		m    MatchTenant
		want bool
	}{
		{"anything", MatchTenant{}, true},
		{"id", MatchTenant{ID: []string{"0190A000-0000-7000-8000-000000000001"}}, true},
		{"other id", MatchTenant{ID: []string{globexID.String()}}, false},
		{"slug", MatchTenant{Slug: []string{"globex", "acme"}}, true},
		{"other slug", MatchTenant{Slug: []string{"globex"}}, false},
		{"plan", MatchTenant{Plan: []string{"pro"}}, true},
		{"other plan", MatchTenant{Plan: []string{"free"}}, false},
		{"status", MatchTenant{Status: []string{"active"}}, true},
		{"other status", MatchTenant{Status: []string{"suspended"}}, false},
		{"environment", MatchTenant{Environment: []string{"production"}}, true},
		{"other environment", MatchTenant{Environment: []string{"dev"}}, false},
		{"type", MatchTenant{Type: []string{"production"}}, true},
		{"other type", MatchTenant{Type: []string{"staging"}}, false},
		{"region", MatchTenant{Region: []string{"eu-west-1"}}, true},
		{"other region", MatchTenant{Region: []string{"us"}}, false},
		{"metadata", MatchTenant{Metadata: map[string][]string{"canary": {"false", "true"}}}, true},
		{"other metadata", MatchTenant{Metadata: map[string][]string{"canary": {"true"}, "other": {""}}}, false},
		{"environment metadata", MatchTenant{EnvironmentMetadata: map[string][]string{"tier": {"gold"}}}, true},
		{"other environment metadata", MatchTenant{EnvironmentMetadata: map[string][]string{"tier": {"tin"}}}, false},
		{"all", MatchTenant{Slug: []string{"acme"}, Plan: []string{"pro"}, Type: []string{"production"}}, true},
		{"all but one", MatchTenant{Slug: []string{"acme"}, Plan: []string{"pro"}, Type: []string{"staging"}}, false},
	} {
		if err := tt.m.Validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got, err := tt.m.MatchWithError(r); got != tt.want || err != nil || tt.m.Match(r) != tt.want {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
	if err := (&MatchTenant{ID: []string{"acme"}}).Validate(); err == nil {
		t.Error("a slug passes for an id")
	}
	_, bare := testRequest(http.MethodGet, "http://acme.app.test/", nil)
	if got, err := new(MatchTenant).MatchWithError(bare); got || err != nil {
		t.Errorf("without a tenant handler: %v, %v", got, err)
	}
}
