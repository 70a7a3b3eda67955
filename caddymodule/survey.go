package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/tenantgate/tenantgate/registry"
)

// surveyed is what the configuration has to know about an import file beyond what the registry does with it.
type surveyed struct {
	hash  string                  // of the content
	plans map[string]surveyedPlan // by name
}

// surveyedPlan is what a plan of an import file has in common with one of the configuration.
type surveyedPlan struct {
	Name      string          `json:"name"`
	Quotas    surveyedQuotas  `json:"quotas"`
	Upstreams json.RawMessage `json:"upstreams"`
}

// surveyedQuotas are the quotas that a plan of the configuration can have.
type surveyedQuotas struct {
	APIRateLimit          json.Number `json:"apiRateLimit"`
	Burst                 json.Number `json:"burst"`
	MaxAPICallsPerDay     json.Number `json:"maxApiCallsPerDay"`
	MaxAPICallsPerMonth   json.Number `json:"maxApiCallsPerMonth"`
	MaxConcurrentRequests json.Number `json:"maxConcurrentRequests"`
}

// equals reports whether they are those of a plan of the configuration.
func (q *surveyedQuotas) equals(want *registry.Quotas) bool {
	for _, pair := range []struct {
		got  json.Number
		want int64
	}{
		{q.APIRateLimit, want.APIRateLimit},
		{q.Burst, want.Burst},
		{q.MaxAPICallsPerDay, want.MaxAPICallsPerDay},
		{q.MaxAPICallsPerMonth, want.MaxAPICallsPerMonth},
		{q.MaxConcurrentRequests, want.MaxConcurrentRequests},
	} {
		if n, err := pair.got.Int64(); pair.got == "" && pair.want != 0 || pair.got != "" && (err != nil || n != pair.want) {
			return false
		}
	}
	return true
}

// survey reads an import file once, record by record.
func survey(path string) (*surveyed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	s := &surveyed{plans: map[string]surveyedPlan{}}
	r := io.TeeReader(f, sum)
	dec := json.NewDecoder(r)
	if err := s.read(dec); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	s.hash = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

// read walks over the members of the document. Whether they are right is for the registry to say.
func (s *surveyed) read(dec *json.Decoder) error {
	if err := delim(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key != "plans" && key != "tenants" {
			var skip struct{}
			if err := dec.Decode(&skip); err != nil {
				return err
			}
			continue
		}
		if err := delim(dec, '['); err != nil {
			return err
		}
		for dec.More() {
			if key == "plans" {
				var p surveyedPlan
				if err := dec.Decode(&p); err != nil {
					return err
				}
				s.plans[p.Name] = p
				continue
			}
			var tenant struct{}
			if err := dec.Decode(&tenant); err != nil {
				return err
			}
		}
		if err := delim(dec, ']'); err != nil {
			return err
		}
	}
	return delim(dec, '}')
}

// delim expects one delimiter.
func delim(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return errors.New("not in the import format")
	}
	return nil
}

// checkImportedPlans refuses an import file that defines a plan of the configuration differently: each start would
// write one over the other. It notes those that are equal.
func (a *App) checkImportedPlans(path string) error {
	if len(a.seed.plans) == 0 {
		return nil
	}
	s, err := survey(path)
	if err != nil {
		return err
	}
	for i := range a.seed.plans {
		p := &a.seed.plans[i]
		imported, both := s.plans[p.Name]
		if !both {
			continue
		}
		if !imported.equals(p) {
			return fmt.Errorf("plan %s is also defined in %s, and differently; keep one of them, or make them equal", p.Name, path)
		}
		if a.seed.covered == nil {
			a.seed.covered = map[string]bool{}
		}
		a.seed.covered[p.Name] = true
	}
	return nil
}

// equals reports whether an imported plan says the same as p, in everything that p can say.
func (s *surveyedPlan) equals(p *registry.DocumentPlan) bool {
	if !s.Quotas.equals(p.Quotas) {
		return false
	}
	var list []string
	if len(s.Upstreams) > 0 {
		if err := json.Unmarshal(s.Upstreams, &list); err != nil {
			return false
		}
	}
	got, err := parseUpstreams(list)
	return err == nil && slices.Equal(got, p.Upstreams)
}
