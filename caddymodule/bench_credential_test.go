package caddymodule

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// What the benchmarks of sessions and API keys send.
const (
	benchSecret       = "a secret of a benchmark, 40 characters.."
	benchSessionToken = "GoMj01zLQNrfIQoHqVRzvDZdYiVcpN89"
)

// benchKey and benchUserKey are API keys, the one of nobody and one that acts as a user.
var (
	benchKey     = sync.OnceValue(newBenchKey)
	benchUserKey = sync.OnceValue(newBenchKey)
)

func newBenchKey() string {
	key, err := credential.GenerateKey("production", nil)
	if err != nil {
		panic(err)
	}
	return key
}

// credentialSource is a registry in memory that knows a session, two API keys, and the membership of their user.
type credentialSource map[registry.Reference]*registry.Resolved

func newCredentialSource() credentialSource {
	with := func(c registry.Credential) *registry.Resolved {
		res := acme()
		c.NamesTenant, c.NamesEnvironment = true, true
		res.Credential = &c
		res.Seal()
		return res
	}
	named := acme()
	named.Seal()
	session := registry.Credential{User: "user-1", ExpiresAt: time.Now().Add(24 * time.Hour), SignedInAt: time.Now()}
	member := registry.Credential{User: "user-1", Role: registry.RoleUser, Roles: []string{"env_user"}}
	return credentialSource{
		{Kind: registry.KindSlug, Key: "acme"}:                                     named,
		{Kind: registry.KindSession, Key: credential.LookupKey(benchSessionToken)}: with(session),
		{Kind: registry.KindSessionToken, Key: benchSessionToken}:                  with(session),
		{Kind: registry.KindAPIKey, Key: credential.LookupKey(benchKey())}:         with(registry.Credential{Role: registry.RoleUser, Roles: []string{"env_user"}}),
		{Kind: registry.KindAPIKey, Key: credential.LookupKey(benchUserKey())}:     with(member),
		{Kind: registry.KindMember, Key: "user-1", Environment: acmeProd.String()}: with(member),
	}
}

func (s credentialSource) Resolve(_ context.Context, ref registry.Reference) (*registry.Resolved, error) {
	if res, ok := s[ref]; ok {
		return res, nil
	}
	return nil, &registry.NotFoundError{}
}

func (credentialSource) Changes(context.Context, int64, int) (registry.Changes, error) {
	return registry.Changes{Oldest: 1}, nil
}

// benchCredentialHandler is a handler that takes its tenant from a credential, and holds the host name against it.
func benchCredentialHandler(tb testing.TB, h *Handler, source any) *Handler {
	tb.Helper()
	rt := newRuntime(cache.Options{})
	rt.cache = cache.New(newCredentialSource(), cache.Options{})
	rt.ready.Store(true)
	close(rt.readyC)
	tb.Cleanup(rt.cancel)
	h.RequireAuthenticated = true
	return testHandler(tb, &App{runtime: rt, logger: slog.New(slog.DiscardHandler)}, h,
		&Subdomain{Patterns: []string{"{tenant}.app.example.com"}}, source)
}

func benchTokenMemberHandler(tb testing.TB) *Handler {
	source := &JWT{Secrets: []string{tokenSecret}}
	var err error
	if source.keys, err = source.readSecrets(); err != nil {
		tb.Fatal(err)
	}
	return benchCredentialHandler(tb, &Handler{RequireRole: "env_user"}, source)
}

func benchSessionHandler(tb testing.TB) *Handler {
	return benchCredentialHandler(tb, &Handler{}, &Session{AnyUser: true, secrets: []string{benchSecret}})
}

func benchSessionMemberHandler(tb testing.TB) *Handler {
	return benchCredentialHandler(tb, &Handler{RequireRole: "env_user"}, &Session{secrets: []string{benchSecret}})
}

func benchTableHandler(tb testing.TB) *Handler {
	return benchCredentialHandler(tb, &Handler{}, &Session{AnyUser: true, Table: new(SessionTable), secrets: []string{benchSecret}})
}

func benchTableMemberHandler(tb testing.TB) *Handler {
	return benchCredentialHandler(tb, &Handler{RequireRole: "env_user"}, &Session{Table: new(SessionTable), secrets: []string{benchSecret}})
}

func benchKeyHandler(tb testing.TB) *Handler {
	return benchCredentialHandler(tb, &Handler{RequireRole: "env_user"}, &APIKey{})
}

// benchCookie is what better-auth would have set.
var benchCookie = sync.OnceValue(func() string {
	mac := hmac.New(sha256.New, []byte(benchSecret))
	mac.Write([]byte(benchSessionToken))
	return "theme=dark; better-auth.session_token=" +
		url.QueryEscape(benchSessionToken+"."+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
})

// sessionHeader and browserSessionHeader are what curl and a browser send with a session.
func sessionHeader() http.Header {
	h := curlHeader()
	h["Cookie"] = []string{benchCookie()}
	return h
}

func browserSessionHeader() http.Header {
	h := browserHeader()
	h["Cookie"] = []string{benchCookie()}
	return h
}

// keyHeader and userKeyHeader are what curl sends with an API key of nobody, and with one that acts as a user.
func keyHeader() http.Header {
	h := curlHeader()
	h["X-Api-Key"] = []string{benchKey()}
	return h
}

func browserKeyHeader() http.Header {
	h := browserHeader()
	h["X-Api-Key"] = []string{benchKey()}
	return h
}

func userKeyHeader() http.Header {
	h := curlHeader()
	h["X-Api-Key"] = []string{benchUserKey()}
	return h
}
