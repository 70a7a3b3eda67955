package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// joseIssuer is an issuer that the npm package jose makes, a process of its own.
type joseIssuer struct {
	*nodeProcess
	client *http.Client
}

// signed is a token and the key that signed it.
type signed struct{ Token, Kid string }

// call asks the issuer for something.
func (j *joseIssuer) call(ctx context.Context, method, path string, body, answer any) error {
	_, err := callJSON(ctx, j.client, method, j.URL+path, nil, body, answer)
	return err
}

// sign returns a token for a user of acme; query says with which algorithm or key.
func (j *joseIssuer) sign(ctx context.Context, query, user string) (signed, error) {
	var s signed
	err := j.call(ctx, http.MethodPost, "/sign?"+query, map[string]any{"sub": user, "tenant_id": "acme", "aud": "app", "roles": []string{"env_user"}}, &s)
	return s, err
}

func (j *joseIssuer) mustSign(t *testing.T, query, user string) signed {
	t.Helper()
	s, err := j.sign(t.Context(), query, user)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Promise: tokens that the npm package jose signs pass with every algorithm that README names, and a token of a key that
// the issuer does not list is refused. Keys may be rotated while requests run, and none of those fails: a key that is new
// is fetched for the first token that names it. Once an issuer lists a key no longer, tokens of it are refused, those that
// have passed before as well.
func TestJose(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	secret := identityTokenSecret + identityTokenSecret // 64 bytes at least, for HS512
	j := &joseIssuer{startNode(t, []string{"JOSE_SECRET=" + secret}, "jose.mjs", "serve"), harness.NewClient(8)}
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""), Env: []string{"JWT_SECRET=" + secret},
		Site: sites(map[string]string{
			"jwks":   "identify jwt {\njwks " + j.URL + "/jwks\naudience app\n}\nrequire authenticated",
			"secret": "identify jwt {\nsecret {env.JWT_SECRET}\naudience app\n}\nrequire authenticated",
		}),
	})
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"} {
		site := map[bool]string{true: "secret", false: "jwks"}[alg[:2] == "HS"]
		ask := onSite(site, withToken("", j.mustSign(t, "alg="+alg, "user of "+alg).Token))
		if got, err := outcome(t, g, ask); err != nil || got != "acme-production [user of "+alg+"] [env_user]" {
			t.Errorf("%s: %s (%v)", alg, got, err)
		}
		other := map[string]string{"secret": "jwks", "jwks": "secret"}[site]
		if got, err := outcome(t, g, onSite(other, ask)); err != nil || got != "credentials_invalid" {
			t.Errorf("%s, where other keys count: %s (%v)", alg, got, err)
		}
	}

	old := j.mustSign(t, "alg=ES256", "old")
	oldAsk := onSite("jwks", withToken("", old.Token))
	if got, err := outcome(t, g, oldAsk); err != nil || got != "acme-production [old] [env_user]" {
		t.Fatalf("before the rotation: %s (%v)", got, err)
	}
	// Users keep coming, each with a token of whichever key is current.
	var served atomic.Int64
	var users sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for n := range 4 {
		users.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				s, err := j.sign(t.Context(), "alg=ES256", fmt.Sprint("user-", n, "-", i))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := outcome(t, g, onSite("jwks", withToken("", s.Token)))
				if want := fmt.Sprintf("acme-production [user-%d-%d] [env_user]", n, i); err != nil || got != want {
					t.Errorf("while keys are rotated: %s (%v), want %s", got, err, want)
					return
				}
				served.Add(1)
			}
		})
	}
	j.rotate(t)
	if err := j.call(t.Context(), http.MethodPost, "/revoke?kid="+old.Kid, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := outcome(t, g, oldAsk); err != nil || got != "acme-production [old] [env_user]" {
		t.Errorf("a key that is still known: %s (%v)", got, err)
	}
	j.rotate(t)
	harness.Eventually(t, 10*time.Second, comesTo(t, g, oldAsk, "credentials_invalid"))
	stop()
	users.Wait()
	if n := served.Load(); n < 100 {
		t.Errorf("only %d requests were served meanwhile", n)
	}

	unlisted := j.mustSign(t, "kid="+old.Kid, "new, with the old key")
	if got, err := outcome(t, g, onSite("jwks", withToken("", unlisted.Token))); err != nil || got != "credentials_invalid" {
		t.Errorf("a new token of the old key: %s (%v)", got, err)
	}
}

// rotate makes the issuer sign with another key, once the gateway may ask for keys again: it asks no oftener than every
// 10 s, whatever tokens name. It returns when the gateway has asked.
func (j *joseIssuer) rotate(t *testing.T) {
	t.Helper()
	stats := func() (s struct{ Fetches, FetchedAt, Now int64 }) {
		t.Helper()
		if err := j.call(t.Context(), http.MethodGet, "/stats", nil, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := stats()
	harness.Eventually(t, 20*time.Second, func() error {
		if s := stats(); s.Now-s.FetchedAt < 10_500 {
			return fmt.Errorf("the keys were fetched %d ms ago", s.Now-s.FetchedAt)
		}
		return nil
	})
	if err := j.call(t.Context(), http.MethodPost, "/rotate?alg=ES256", nil, nil); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if s := stats(); s.Fetches != before.Fetches+1 {
			return fmt.Errorf("the keys were fetched %d times, want %d", s.Fetches, before.Fetches+1)
		}
		return nil
	})
}
