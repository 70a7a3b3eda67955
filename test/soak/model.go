package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// The statuses of a tenant here.
const (
	active    = "active"
	suspended = "suspended"
	archived  = "archived"
)

// state is what a request for a tenant's environment depends on.
type state struct {
	status string
	// upstream is the number of the environment's upstream.
	upstream int
	plan     string
}

// subject is one environment of a tenant, as requests are for one.
type subject struct {
	tenant, environment string // ids
	slug                string // the tenant's present one; only for whoever changes it
	state               *timeline[state]
	// steady says that nobody changes it.
	steady bool
	// limited says that more is asked for than its quota lets pass.
	limited bool
}

// Kinds of references: what a request names its tenant by.
const (
	bySlug    = "slug"
	byDomain  = "domain"
	byKey     = "key"
	bySession = "session"
	byToken   = "token"
)

// reference is a name that leads to a tenant, or does not.
type reference struct {
	kind, value string
	// environment is the slug of the environment that is named besides; "" for the default one.
	environment string
	// leads is whom it leads to; nil: to nobody.
	leads *timeline[*subject]
	// steady says that it leads to the same steady subject for ever.
	steady bool
}

// when is the time that a request took.
type when struct{ from, to time.Time }

// recently is the time since so long ago.
func recently(ago time.Duration) when { return when{time.Now().Add(-ago), time.Now()} }

// result is what came back for a request.
type result struct {
	status int
	code   string // of the problem, for refusals
	quota  string // and which quota is used up
	echo   harness.Echo
}

// refusal is an answer that is not served.
type refusal struct {
	status int
	code   string
}

func (r refusal) is(got result) bool { return got.status == r.status && got.code == r.code }

// unknownAs returns the refusals of a reference that leads to nobody.
func (r *reference) unknownAs() []refusal {
	unknown, invalid := refusal{http.StatusNotFound, "tenant_not_found"}, refusal{http.StatusUnauthorized, "credentials_invalid"}
	switch r.kind {
	case byKey:
		return []refusal{invalid}
	case bySession:
		// One that was revoked, and one whose tenant was removed: it still says who the user is, and nothing says where to.
		return []refusal{invalid, unknown}
	default:
		return []refusal{unknown}
	}
}

// refusals of tenants that are not active.
var refusals = map[string]refusal{
	suspended: {http.StatusForbidden, "tenant_suspended"},
	archived:  {http.StatusGone, "tenant_inactive"},
}

// wrongTenant is an answer for another tenant or environment than the one that was asked for.
type wrongTenant struct{ text string }

func (e *wrongTenant) Error() string { return e.text }

// checkStep is how finely it is known how late a change was.
const checkStep = 250 * time.Millisecond

// check returns nil when a gateway may have answered a request for the reference so, and how long after a change's answer
// that shows what was before: 0 for what is newest, at most the grace.
func (s *system) check(g *gateway, grace time.Duration, r *reference, w when, got result) (late time.Duration, err error) {
	for ; late < grace; late += checkStep {
		if s.checkWithin(g, late, r, w, got) == nil {
			return late, nil
		}
	}
	return grace, s.checkWithin(g, grace, r, w, got)
}

// checkWithin is check for one time that changes may take.
func (s *system) checkWithin(g *gateway, grace time.Duration, r *reference, w when, got result) error {
	certain := s.certain(g, grace)
	subjects := r.leads.possible(w.from, w.to, certain)
	var allowed []string
	for _, subject := range subjects {
		if subject == nil {
			for _, refusal := range r.unknownAs() {
				if refusal.is(got) {
					return nil
				}
				allowed = append(allowed, fmt.Sprintf("%d %s", refusal.status, refusal.code))
			}
			continue
		}
		for _, state := range subject.state.possible(w.from, w.to, certain) {
			err := s.fits(subject, state, w, got)
			if err == nil {
				return nil
			}
			allowed = append(allowed, err.Error())
		}
	}
	if got.status == http.StatusOK && !slices.ContainsFunc(subjects, func(p *subject) bool { return p != nil && p.served(got.echo) }) {
		return &wrongTenant{fmt.Sprintf("%s %s was served as tenant %q, environment %q; allowed: %s", r.kind, r.value,
			got.echo.Values("X-Tenant-ID"), got.echo.Values("X-Environment-ID"), strings.Join(allowed, "; "))}
	}
	// While the registry is away, what is not cached cannot be known; what asks when it goes waits for its timeout.
	if got.code == "registry_unavailable" && !r.steady && s.registryDown.touch(w.from, w.to, 10*time.Second) {
		return nil
	}
	return fmt.Errorf("%s %s got %d %s %s by upstream %q, plan %q; allowed: %s", r.kind, r.value, got.status, got.code, got.quota, got.echo.Upstream,
		got.echo.Values("X-Tenant-Plan"), strings.Join(allowed, "; "))
}

// certain says from when on a change holds on a gateway: at once on the one that made it, after two polls on the others,
// and these are later by outages.
func (s *system) certain(g *gateway, grace time.Duration) func(time.Time, int) time.Time {
	return func(answered time.Time, by int) time.Time {
		switch {
		case answered.Equal(never) || by == everywhere:
			return answered
		case by == g.number && !g.down.touch(answered, answered.Add(grace), grace):
			return answered
		}
		latest := answered
		for _, outage := range []*spans{&s.registryDown, &g.down, &s.stalls} {
			if at := outage.delay(answered, grace); at.After(latest) {
				latest = at
			}
		}
		return latest
	}
}

// served reports whether an upstream was told of this subject and of no other.
func (p *subject) served(e harness.Echo) bool {
	return slices.Equal(e.Values("X-Tenant-ID"), []string{p.tenant}) && slices.Equal(e.Values("X-Environment-ID"), []string{p.environment})
}

// fits returns nil when a subject in some state can give this answer, and else what it would give.
func (s *system) fits(p *subject, st state, w when, got result) error {
	if refusal, ok := refusals[st.status]; ok {
		if refusal.is(got) {
			return nil
		}
		return fmt.Errorf("%d %s", refusal.status, refusal.code)
	}
	u := s.upstreams[st.upstream]
	switch {
	case got.status == http.StatusOK && got.code == "" && p.served(got.echo) && got.echo.Upstream == u.name &&
		slices.Equal(got.echo.Values("X-Tenant-Plan"), []string{st.plan}):
		return nil
	case got.status == http.StatusTooManyRequests && got.code == "quota_exceeded" && p.limited:
		return nil
	// An upstream that is away is a bad gateway, and so may be one that has just come back: its connections were cut.
	case got.status == http.StatusBadGateway && u.down.touch(w.from, w.to, time.Second):
		return nil
	}
	return fmt.Errorf("200 by %s for %s, plan %s", u.name, p.tenant, st.plan)
}
