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
	hash       string                  // of the content
	plans      map[string]surveyedPlan // by name
	unenforced []string                // names of quotas
}

// surveyedPlan is what a plan of an import file has in common with one of the configuration.
type surveyedPlan struct {
	Name      string          `json:"name"`
	Quotas    surveyedQuotas  `json:"quotas"`
	Upstreams json.RawMessage `json:"upstreams"`
}

// surveyedQuotas are the quotas that matter to the gateway.
type surveyedQuotas struct {
	APIRateLimit          json.Number     `json:"apiRateLimit"`
	Burst                 json.Number     `json:"burst"`
	MaxAPICallsPerMonth   json.RawMessage `json:"maxApiCallsPerMonth"`
	MaxAPICallsPerDay     json.RawMessage `json:"maxApiCallsPerDay"`
	MaxConcurrentRequests json.RawMessage `json:"maxConcurrentRequests"`
}

// note adds the names of the quotas that are given but not enforced.
func (q *surveyedQuotas) note(names map[string]bool) {
	given := func(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
	if given(q.MaxAPICallsPerMonth) {
		names["maxApiCallsPerMonth"] = true
	}
	if given(q.MaxAPICallsPerDay) {
		names["maxApiCallsPerDay"] = true
	}
	if given(q.MaxConcurrentRequests) {
		names["maxConcurrentRequests"] = true
	}
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
	names := map[string]bool{}
	r := io.TeeReader(f, sum)
	dec := json.NewDecoder(r)
	if err := s.read(dec, names); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	s.hash = hex.EncodeToString(sum.Sum(nil))
	for name := range names {
		s.unenforced = append(s.unenforced, name)
	}
	return s, nil
}

// read walks over the members of the document. Whether they are right is for the registry to say.
func (s *surveyed) read(dec *json.Decoder, names map[string]bool) error {
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
				p.Quotas.note(names)
				s.plans[p.Name] = p
				continue
			}
			var t struct {
				Quotas       surveyedQuotas `json:"quotas"`
				Environments []struct {
					Quotas surveyedQuotas `json:"quotas"`
				} `json:"environments"`
			}
			if err := dec.Decode(&t); err != nil {
				return err
			}
			t.Quotas.note(names)
			for i := range t.Environments {
				t.Environments[i].Quotas.note(names)
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
	number := func(n json.Number, want int64) bool {
		got, err := n.Int64()
		return n == "" && want == 0 || err == nil && got == want
	}
	if !number(s.Quotas.APIRateLimit, p.Quotas.APIRateLimit) || !number(s.Quotas.Burst, p.Quotas.Burst) {
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
