package router

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a resolver over a few tenants, built as the registry would build them. It counts the questions.
type world struct {
	mu    sync.Mutex
	byRef map[registry.Reference]*registry.Resolved
	known map[registry.Reference]uuid.UUID // tenant references, to tell a missing environment from a missing tenant
	// nowhere are sessions that name no tenant, or an unknown one.
	nowhere map[registry.Reference]*registry.NotFoundError
	asked   []registry.Reference
	// fail answers instead of the tenants where it returns an error.
	fail func(registry.Reference) error
}

const (
	acmeID        = "0190a000-0000-7000-8000-000000000001"
	acmeProdID    = "0190a000-0000-7000-8000-000000000011"
	acmeDevID     = "0190a000-0000-7000-8000-000000000012"
	globexID      = "0190a000-0000-7000-8000-000000000002"
	globexProdID  = "0190a000-0000-7000-8000-000000000021"
	initechID     = "0190a000-0000-7000-8000-000000000003"
	initechProdID = "0190a000-0000-7000-8000-000000000031"
)

func newWorld() *world {
	w := &world{byRef: map[registry.Reference]*registry.Resolved{}, known: map[registry.Reference]uuid.UUID{}, nowhere: map[registry.Reference]*registry.NotFoundError{}}
	w.add("acme", acmeID, "production", acmeProdID, true, "app.acme.test")
	w.add("acme", acmeID, "dev", acmeDevID, false, "dev.acme.test")
	w.add("globex", globexID, "production", globexProdID, true, "globex.test")
	w.add("initech", initechID, "production", initechProdID, true, "initech.test")
	return w
}

func (w *world) add(slug, id, env, envID string, isDefault bool, hosts ...string) *registry.Resolved {
	res := &registry.Resolved{
		Tenant:      registry.ResolvedTenant{ID: uuid.MustParse(id), Slug: slug, Status: registry.StatusActive},
		Environment: registry.ResolvedEnvironment{ID: uuid.MustParse(envID), Slug: env, Default: isDefault, Status: registry.StatusActive},
	}
	for _, ref := range []registry.Reference{{Kind: registry.KindSlug, Key: slug}, {Kind: registry.KindTenantID, Key: id}} {
		w.known[ref] = res.Tenant.ID
		if isDefault {
			w.byRef[ref] = res
		}
		for _, e := range []string{env, envID} {
			ref.Environment = e
			w.byRef[ref] = res
		}
	}
	w.byRef[registry.Reference{Kind: registry.KindEnvironmentID, Key: envID}] = res
	for _, h := range hosts {
		w.byRef[registry.Reference{Kind: registry.KindHost, Key: h}] = res
	}
	return res
}

// key makes an API key lead to an environment. name is its hash.
func (w *world) key(name, slug, env string) registry.Reference {
	return w.credential(registry.Reference{Kind: registry.KindAPIKey, Key: name}, slug, env,
		registry.Credential{ID: name, NamesTenant: true, NamesEnvironment: true})
}

// credential makes a reference lead to a tenant, and say what a credential says; to no tenant at all if slug is empty.
func (w *world) credential(ref registry.Reference, slug, env string, c registry.Credential) registry.Reference {
	if slug == "" {
		w.nowhere[ref] = &registry.NotFoundError{Credential: &c}
		return ref
	}
	res := *w.byRef[registry.Reference{Kind: registry.KindSlug, Key: slug, Environment: env}]
	res.Credential = &c
	w.byRef[ref] = &res
	return ref
}

// member makes a user a member of an environment.
func (w *world) member(user, slug, env string, role registry.Role) {
	id := w.byRef[registry.Reference{Kind: registry.KindSlug, Key: slug, Environment: env}].Environment.ID.String()
	w.credential(registry.Reference{Kind: registry.KindMember, Key: user, Environment: id}, slug, env,
		registry.Credential{User: user, Role: role, Roles: []string{string(role)}})
}

// cookieSecret signs the session cookies of these tests.
const cookieSecret = "a secret for cookies, long enough"

// cookie returns the cookie of a session as better-auth signs it.
func cookie(token string) string {
	mac := hmac.New(sha256.New, []byte(cookieSecret))
	mac.Write([]byte(token))
	return credential.DefaultSessionCookie + "=" + url.QueryEscape(token+"."+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// sessions is the source "session".
func sessions(t testing.TB, o SessionOptions) Source {
	t.Helper()
	s, err := credential.NewSession(credential.SessionOptions{Secrets: []string{cookieSecret}})
	if err != nil {
		t.Fatal(err)
	}
	o.Session = s
	return must(NewSession(o))
}

// apiKeys is the source "api_key".
func apiKeys(t testing.TB, remove bool) Source {
	t.Helper()
	x, err := credential.NewKeyExtractor("")
	if err != nil {
		t.Fatal(err)
	}
	return must(NewAPIKey(APIKeyOptions{Extractor: x, Remove: remove}))
}

// apiKey returns a new API key, and the reference of its hash.
func apiKey(t testing.TB, env string) (string, registry.Reference) {
	t.Helper()
	key, err := credential.GenerateKey(env, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, registry.Reference{Kind: registry.KindAPIKey, Key: credential.LookupKey(key)}
}

// sessionOf is the reference of a session's hash.
func sessionOf(token string) registry.Reference {
	return registry.Reference{Kind: registry.KindSession, Key: credential.LookupKey(token)}
}

// setStatus changes every snapshot of a tenant and of one of its environments.
func (w *world) set(slug string, change func(*registry.Resolved)) {
	done := map[*registry.Resolved]bool{}
	for _, res := range w.byRef {
		if res.Tenant.Slug == slug && !done[res] {
			done[res] = true
			change(res)
		}
	}
}

func (w *world) Resolve(_ context.Context, ref registry.Reference, _ time.Time) (*registry.Resolved, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, ref)
	if w.fail != nil {
		if err := w.fail(ref); err != nil {
			return nil, err
		}
	}
	if res := w.byRef[ref]; res != nil {
		return res, nil
	}
	if err := w.nowhere[ref]; err != nil {
		return nil, err
	}
	ref.Environment = ""
	return nil, &registry.NotFoundError{Tenant: w.known[ref]}
}

// fake is a source that yields the same for every request, as tokens, sessions and keys will.
type fake struct {
	name  string
	yield Yield
	err   error
	asked int
}

func (f *fake) Name() string { return f.name }

func (f *fake) Identify(*Request) (Yield, error) {
	f.asked++
	return f.yield, f.err
}

// fakeHost is a fake that reads the host name.
type fakeHost struct{ fake }

func (*fakeHost) ReadsHost() {}

func slug(tenant, environment string) registry.Reference {
	return registry.Reference{Kind: registry.KindSlug, Key: tenant, Environment: environment}
}

func says(tenant string) *fake {
	return &fake{name: "header", yield: Yield{Reference: slug(tenant, "")}}
}

func proves(tenant string) *fake {
	return &fake{name: "jwt", yield: Yield{Reference: slug(tenant, ""), Authenticated: true, User: "u1", Roles: []string{"env_user"}}}
}

// must returns the source of a constructor.
func must(s Source, err error) Source {
	if err != nil {
		panic(err)
	}
	return s
}

// request makes a server request as net/http would parse it.
func request(t testing.TB, host, target string) *Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatalf("target %q: %v", target, err)
	}
	return &Request{
		HTTP: &http.Request{Method: http.MethodGet, URL: u, RequestURI: target, Host: host, Header: http.Header{}},
		Now:  testNow,
	}
}

// newRouter makes a router over the world with the default agreement.
func newRouter(t testing.TB, w Resolver, sources ...Source) *Router {
	t.Helper()
	rt, err := New(Config{Sources: sources, Resolver: w})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// outcome is a decision or a refusal in one word: "acme/production", "tenant_conflict".
func outcome(d Decision, err error) string {
	if err == nil {
		return d.Resolved.Tenant.Slug + "/" + d.Resolved.Environment.Slug
	}
	r, ok := err.(*Refusal) //nolint:errorlint // that it is this very type is the promise
	if !ok {
		return fmt.Sprintf("not a refusal: %T %v", err, err)
	}
	return r.Code
}

// identify runs one source on a request whose host is already normalised, and says in one word what it yields.
func identify(s Source, r *Request) string {
	y, err := s.Identify(r)
	if err != nil {
		r, ok := err.(*Refusal) //nolint:errorlint // as above
		if !ok {
			return "not a refusal: " + err.Error()
		}
		return r.Code
	}
	if y.empty() {
		return "nothing"
	}
	word := y.Reference.Kind.String() + ":" + y.Reference.Key
	if y.Reference.Environment != "" {
		word += "/" + y.Reference.Environment
	}
	return word
}
