package router

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// TestNew keeps the promise that a router which cannot work is an error.
func TestNew(t *testing.T) {
	source := []Source{says("acme")}
	for _, c := range []Config{
		{},
		{Sources: source},
		{Resolver: newWorld()},
		{Sources: []Source{nil}, Resolver: newWorld()},
		{Sources: source, Resolver: newWorld(), Agreement: AgreementFirst + 1},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// TestMalformedHost keeps the promise that a malformed host is refused where somebody reads it, and read by nobody
// elsewhere.
func TestMalformedHost(t *testing.T) {
	w := newWorld()
	reads := newRouter(t, w, must(NewDomain()), says("acme"))
	reads2 := newRouter(t, w, &fakeHost{*says("acme")})
	ignores := newRouter(t, w, says("acme"))
	for _, host := range []string{"a_b.example.com", "a..b", "example.com:99999", "%41.example.com", strings.Repeat("a", 5000)} {
		for _, rt := range []*Router{reads, reads2} {
			if got := outcome(rt.Route(context.Background(), request(t, host, "/"))); got != CodeTenantInvalid {
				t.Errorf("%.20q gives %s", host, got)
			}
		}
		r := request(t, host, "/")
		r.Host = "left over"
		if got := outcome(ignores.Route(context.Background(), r)); got != "acme/production" || r.Host != "" {
			t.Errorf("%.20q, which nobody reads, gives %s with host %q", host, got, r.Host)
		}
	}
	r := request(t, "", "/")
	r.Host = "left over"
	if got := outcome(newRouter(t, w, must(NewDomain())).Route(context.Background(), r)); got != CodeTenantRequired || r.Host != "" {
		t.Errorf("without a host: %s with host %q", got, r.Host)
	}
	r = request(t, "Example.COM.:80", "/")
	if _, err := ignores.Route(context.Background(), r); err != nil || r.Host != "example.com" {
		t.Errorf("host is %q, %v", r.Host, err)
	}
}

// TestSourceErrors keeps the promise that a source's refusal reaches the client as it is, and any other error as a
// malformed tenant with the error for the log only; whatever the agreement and whoever else yields.
func TestSourceErrors(t *testing.T) {
	own := RefuseCredentials(`Bearer error="invalid_token"`, errors.New("expired"))
	other := errors.New("secret detail")
	for mode := AgreementRequired; mode <= AgreementFirst; mode++ {
		for _, c := range []struct {
			err   error
			check func(*Refusal) bool
		}{
			{own, func(r *Refusal) bool { return r == own }},
			{fmt.Errorf("wrapped: %w", own), func(r *Refusal) bool { return r == own }},
			{other, func(r *Refusal) bool {
				return r.Code == CodeTenantInvalid && errors.Is(r, other) && !strings.Contains(r.Error()+r.Detail, "secret")
			}},
		} {
			rt, err := New(Config{Sources: []Source{proves("acme"), &fake{name: "broken", err: c.err}}, Resolver: newWorld(), Agreement: mode})
			if err != nil {
				t.Fatal(err)
			}
			_, err = rt.Route(context.Background(), request(t, "", "/"))
			var r *Refusal
			if !errors.As(err, &r) || !c.check(r) {
				t.Errorf("%s: %v becomes %+v", mode, c.err, r)
			}
		}
	}
}

// TestResolverErrors keeps the promise that nothing is taken for unknown because it could not be asked, and for nothing
// because it could not be asked either.
func TestResolverErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	expired, cancel2 := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel2()
	down := fmt.Errorf("dial 10.0.0.7: %w", registry.ErrUnavailable)
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		code   string
	}{
		{"unknown tenant", context.Background(), &registry.NotFoundError{}, 404, CodeTenantNotFound},
		{"wrapped", context.Background(), fmt.Errorf("cache: %w", &registry.NotFoundError{}), 404, CodeTenantNotFound},
		{"unknown environment", context.Background(), &registry.NotFoundError{Tenant: uuid.MustParse(acmeID)}, 404, CodeEnvironmentNotFound},
		{"unavailable", context.Background(), down, 503, CodeRegistryUnavailable},
		{"anything else", context.Background(), errors.New("odd"), 503, CodeRegistryUnavailable},
		{"client gone", cancelled, context.Canceled, 499, CodeClientClosedRequest},
		{"client gone, registry down", cancelled, down, 499, CodeClientClosedRequest},
		{"too slow", expired, context.DeadlineExceeded, 503, CodeRegistryUnavailable},
		{"unknown although the client is gone", cancelled, &registry.NotFoundError{}, 404, CodeTenantNotFound},
	} {
		w := newWorld()
		w.fail = func(registry.Reference) error { return c.err }
		_, err := newRouter(t, w, says("acme")).Route(c.ctx, request(t, "", "/"))
		var r *Refusal
		if !errors.As(err, &r) || r.Status != c.status || r.Code != c.code {
			t.Errorf("%s: %+v", c.name, r)
			continue
		}
		if c.status != 404 && !errors.Is(r, c.err) {
			t.Errorf("%s: the cause is %v", c.name, r.Cause)
		}
		if (c.status == 503) != (r.RetryAfter > 0) {
			t.Errorf("%s: Retry-After is %s", c.name, r.RetryAfter)
		}
		if strings.Contains(r.Error()+string(r.AppendProblem(nil, ""))+string(r.AppendHTML(nil)), "10.0.0.7") {
			t.Errorf("%s: the client sees an address", c.name)
		}
	}

	// Neither an answer nor an error.
	rt := newRouter(t, resolverFunc(func() (*registry.Resolved, error) { return nil, nil }), says("acme"))
	if got := outcome(rt.Route(context.Background(), request(t, "", "/"))); got != CodeRegistryUnavailable {
		t.Errorf("no answer gives %s", got)
	}

	// Only the second of two sources cannot be looked up: that is no agreement, and a domain is not nothing.
	w := newWorld()
	w.fail = func(ref registry.Reference) error {
		if ref.Key == "globex" || ref.Kind == registry.KindHost {
			return down
		}
		return nil
	}
	for _, s := range []Source{says("globex"), must(NewDomain())} {
		for _, sources := range [][]Source{{says("acme"), s}, {must(NewDefault("acme", "")), s}} {
			if got := outcome(newRouter(t, w, sources...).Route(context.Background(), request(t, "app.acme.test", "/"))); got != CodeRegistryUnavailable {
				t.Errorf("%s and %s: %s", sources[0].Name(), s.Name(), got)
			}
		}
	}
	// With proof and without a demand that the domain agree, the domain does not matter.
	rt, err := New(Config{Sources: []Source{must(NewDomain()), &fake{name: "jwt", yield: Yield{Reference: slug("acme", "dev"), Authenticated: true}}}, Resolver: w, Agreement: AgreementAuthenticated})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(rt.Route(context.Background(), request(t, "app.acme.test", "/"))); got != "acme/dev" {
		t.Errorf("token beside a domain that cannot be looked up: %s", got)
	}
}

// resolverFunc is a resolver that answers always the same.
type resolverFunc func() (*registry.Resolved, error)

func (f resolverFunc) Resolve(context.Context, registry.Reference, time.Time) (*registry.Resolved, error) {
	return f()
}

// TestAdmit keeps the table of refusals by status and subscription, and their order: tenant, environment, subscription.
func TestAdmit(t *testing.T) {
	const active = registry.StatusActive
	past, future := testNow.Add(-time.Second), testNow.Add(time.Second)
	for _, c := range []struct {
		tenant, environment registry.Status
		expires             time.Time
		want                string
	}{
		{active, active, time.Time{}, "acme/production"},
		{active, active, future, "acme/production"},
		{active, active, testNow, CodeSubscriptionExpired},
		{active, active, past, CodeSubscriptionExpired},
		{registry.StatusSuspended, active, past, CodeTenantSuspended},
		{registry.StatusArchived, active, past, CodeTenantInactive},
		{registry.StatusDestroying, active, past, CodeTenantInactive},
		{registry.StatusProvisioning, active, past, CodeTenantProvisioning},
		{registry.StatusFailed, active, past, CodeTenantUnavailable},
		{"", active, past, CodeTenantUnavailable},
		{"Active", active, past, CodeTenantUnavailable},
		{registry.StatusSuspended, registry.StatusArchived, past, CodeTenantSuspended},
		{active, registry.StatusSuspended, past, CodeEnvironmentSuspended},
		{active, registry.StatusArchived, past, CodeEnvironmentInactive},
		{active, registry.StatusDestroying, past, CodeEnvironmentInactive},
		{active, registry.StatusProvisioning, past, CodeTenantProvisioning},
		{active, registry.StatusFailed, past, CodeTenantUnavailable},
		{active, "paused", time.Time{}, CodeTenantUnavailable},
	} {
		w := newWorld()
		w.set("acme", func(res *registry.Resolved) {
			res.Tenant.Status, res.Environment.Status, res.Tenant.SubscriptionExpiresAt = c.tenant, c.environment, c.expires
		})
		d, err := newRouter(t, w, says("acme")).Route(context.Background(), request(t, "", "/"))
		if got := outcome(d, err); got != c.want {
			t.Errorf("%q, %q, %v: %s, want %s", c.tenant, c.environment, c.expires, got, c.want)
		}
		if err != nil && d.Resolved != nil {
			t.Errorf("%q, %q: a refused request has a decision", c.tenant, c.environment)
		}
	}
	// Without a time, the request is of now: an expired subscription does not pass by being asked about in the year 1.
	w := newWorld()
	w.set("acme", func(res *registry.Resolved) { res.Tenant.SubscriptionExpiresAt = past })
	r := request(t, "", "/")
	r.Now = time.Time{}
	if got := outcome(newRouter(t, w, says("acme")).Route(context.Background(), r)); got != CodeSubscriptionExpired {
		t.Errorf("without a time: %s", got)
	}
}

// TestManySources keeps the promise that nothing is lost with more yields than usual.
func TestManySources(t *testing.T) {
	var sources []Source
	for range 3 * usualYields {
		sources = append(sources, says("acme"))
	}
	if got := outcome(newRouter(t, newWorld(), sources...).Route(context.Background(), request(t, "", "/"))); got != "acme/production" {
		t.Error(got)
	}
	sources = append(sources, says("globex"))
	if got := outcome(newRouter(t, newWorld(), sources...).Route(context.Background(), request(t, "", "/"))); got != CodeTenantConflict {
		t.Error(got)
	}
}

// FuzzRoute holds for any request bytes, with all sources, in each agreement: no panic, an error is a Refusal, and a
// tenant is only decided on when its name, its id or its domain stands in the request.
func FuzzRoute(f *testing.F) {
	f.Add("acme.app.example.com:80", "/t/acme/x?tenant=acme", "acme", "dev", "acme", uint8(0))
	f.Add("app.acme.test", "/t/globex/../x", "ACME", "", "", uint8(1))
	f.Add("acme--dev.app.example.com", "/?%74enant="+globexID, acmeID, acmeDevID, "globex", uint8(2))
	f.Add("gateway.test", "//t/acme?tenant=x;tenant=y", "acme, globex", "production", "\x00", uint8(3))
	w := newWorld()
	sources := []Source{
		must(NewSubdomain([]string{"{tenant}.app.example.com", "{tenant}--{environment}.app.example.com"}, []string{"www"})),
		must(NewDomain()),
		must(NewPath("/t/{tenant}", true)),
		must(NewHeader("", "", false)),
		must(NewQuery("", "environment", true)),
		must(NewPlaceholder("org", "")),
	}
	var routers []*Router
	for mode := AgreementRequired; mode <= AgreementFirst; mode++ {
		rt, err := New(Config{Sources: sources, Resolver: w, Agreement: mode})
		if err != nil {
			f.Fatal(err)
		}
		routers = append(routers, rt)
	}
	spellings := map[string][]string{
		"acme":    {"acme", acmeID, acmeProdID, acmeDevID, "app.acme.test", "dev.acme.test"},
		"globex":  {"globex", globexID, globexProdID},
		"initech": {"initech", initechID, initechProdID},
	}
	f.Fuzz(func(t *testing.T, host, target, tenant, environment, placeholder string, mode uint8) {
		w.asked = w.asked[:0]
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &Request{
			HTTP: &http.Request{Host: host, URL: u, RequestURI: target, Header: http.Header{
				DefaultTenantHeader: {tenant}, DefaultEnvironmentHeader: {environment},
			}},
			Now: testNow, Placeholders: values{"org": placeholder},
		}
		u.Path = strings.Clone(u.Path)
		query, _ := url.ParseQuery(u.RawQuery)
		said := strings.ToLower(strings.Join(append([]string{r.Host, host, u.Path, tenant, environment, placeholder},
			append(query["tenant"], query["environment"]...)...), " "))
		rt := routers[int(mode)%len(routers)]
		d, err := rt.Route(context.Background(), r)
		if err != nil {
			if _, ok := err.(*Refusal); !ok { //nolint:errorlint // that it is this very type is the promise
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		named := false
		for _, s := range spellings[d.Resolved.Tenant.Slug] {
			named = named || strings.Contains(said+" "+r.Host, s)
		}
		if !named {
			t.Fatalf("%s decided on %s, which nothing in %q says", d.Source, d.Resolved.Tenant.Slug, said)
		}
		rt.Rewrite(r.HTTP, &d)
		if r.HTTP.URL.Host == "" && u.Path != "" && strings.HasPrefix(u.Path, "//") && !strings.HasPrefix(target, "//") {
			t.Fatalf("%q is forwarded as %q", target, u.Path)
		}
	})
}
