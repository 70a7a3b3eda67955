package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/assertion"
	"github.com/tenantgate/tenantgate/test/harness"
)

// contextSites are the gateway's one site, and another one for the keys.
func contextSites(keys, options, more string) string {
	return fmt.Sprintf("tenant {\nidentify subdomain {tenant}.app.test {tenant}--{environment}.app.test\nidentify jwt {\nsecret %s\n}\n%s\n}\n"+
		"reverse_proxy {\ndynamic tenant\n}\n%s\n}\nhttp://%s {\nbind 127.0.0.1\ntenant_keys\n", hmacSecret, options, more, keys)
}

const hmacSecret = "0123456789abcdef0123456789abcdef"

// contextKeyFile writes a new key and returns its file, its id and its public half.
func contextKeyFile(t *testing.T, name string) (path, id string, public ed25519.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := assertion.NewKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return harness.WriteFile(t, t.TempDir(), name, string(text)), k.ID(), public
}

// verified are tenants whose upstream is the one in Node.
func verifiedTenants(v verifier) document {
	up := &harness.Upstream{Address: v.Address}
	return someTenants(upstreams{production: up, dev: up, globex: up})
}

// Promise: an upstream in Node checks every request with jose and the published keys, and finds the tenant, environment
// and user that the request was admitted for, over several lifetimes of a token.
func TestContextVerified(t *testing.T) {
	t.Parallel()
	keys := harness.FreeAddress(t)
	v := startVerifier(t, nil, "--jwks", "http://"+keys+"/", "--audience", "app")
	b := fileBackend(t)
	b.load(t, verifiedTenants(v))
	g := harness.Start(t, harness.Options{
		Tenants: b.directive("") + "context {\naudience app\nlifetime 10s\n}\n", Site: contextSites(keys, "inject context", ""), Env: b.env(),
	})
	user := tokenFor(t, jwt.SigningMethodHS256, []byte(hmacSecret), "acme", "tenant_id", "acme", "sub", "user-7", "roles", []string{"env_user"})
	asks := []struct {
		host, token              string
		tenant, environment, sub string
	}{
		{"acme.app.test", "", acmeID, acmeProdID, ""},
		{"acme--dev.app.test", "", acmeID, acmeDevID, ""},
		{"globex.app.test", "", globexID, globexProd, ""},
		{"acme.app.test", user, acmeID, acmeProdID, "user-7"},
	}
	expires := map[int64]bool{}
	harness.Throughout(t, 25*time.Second, func() error {
		for _, ask := range asks {
			header := map[string]string{}
			if ask.token != "" {
				header["Authorization"] = "Bearer " + ask.token
			}
			got, err := contextOf(g.Send(t, harness.Ask{Host: ask.host, Header: header}))
			if err != nil {
				return err
			}
			c := got.Claims
			if c.Tenant.ID.String() != ask.tenant || c.Environment.ID.String() != ask.environment || c.Subject != ask.sub {
				return fmt.Errorf("%s: %+v", ask.host, c)
			}
			if ask.sub != "" && !slices.Equal(c.Roles, []string{"env_user"}) {
				return fmt.Errorf("roles %q", c.Roles)
			}
			if left := time.Until(time.Unix(c.Expires, 0)); left < 500*time.Millisecond {
				return fmt.Errorf("%s of the token are left", left)
			}
			if ask.host == "globex.app.test" {
				expires[c.Expires] = true
			}
		}
		return nil
	})
	if n := len(expires); n < 3 || n > 6 {
		t.Errorf("%d tokens were signed for one tenant within two and a half lifetimes", n)
	}
}

// Promise: HS256 with a shared secret is checked by jose, too, and the secret is in no log.
func TestContextSharedSecret(t *testing.T) {
	t.Parallel()
	const secret = "CONTEXT_SECRET=hunter2-and-30-more-bytes-of-a-secret"
	v := startVerifier(t, []string{secret}, "--secret")
	b := fileBackend(t)
	b.load(t, verifiedTenants(v))
	site := "tenant {\nidentify subdomain {tenant}.app.test\ninject context\n}\nreverse_proxy {tenant.upstream}\n"
	g := harness.Start(t, harness.Options{
		Tenants: b.directive("") + "context {\nsecret {env.CONTEXT_SECRET}\n}\n", Site: site, Env: append(b.env(), secret), Global: "debug",
	})
	if got, err := contextOf(g.Get(t, "globex.app.test", "/")); err != nil || got.Claims.Tenant.ID.String() != globexID || got.KeyID != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if strings.Contains(g.Log(t), "hunter2") {
		t.Error("the log shows the secret")
	}
}

// Promise: keys are rotated by reloads under load, in the three steps that README names, without one request whose token
// the upstream cannot check.
func TestContextRotationUnderLoad(t *testing.T) {
	t.Parallel()
	keys := harness.FreeAddress(t)
	v := startVerifier(t, nil, "--jwks", "http://"+keys+"/")
	oldFile, oldID, _ := contextKeyFile(t, "old.pem")
	newFile, newID, _ := contextKeyFile(t, "new.pem")
	b := fileBackend(t)
	b.load(t, verifiedTenants(v))
	options := func(files string) harness.Options {
		return harness.Options{
			Tenants: b.directive("") + "context {\nkey " + files + "\nlifetime 10s\n}\n", Site: contextSites(keys, "inject context", ""), Env: b.env(),
		}
	}
	g := harness.Start(t, options(oldFile))
	var mu sync.Mutex
	var seen []string // ids of keys, in the order in which they came
	hosts := map[string]string{"acme.app.test": acmeID, "globex.app.test": globexID}
	names := []string{"acme.app.test", "globex.app.test"}
	load := g.StartLoad(t, harness.Load{
		Reloads: true,
		Workers: 6, Every: 5 * time.Millisecond, AtMost: time.Minute,
		Ask: func(n int) harness.Ask { return harness.Ask{Host: names[n%2]} },
		Check: func(n int, answer harness.Answer) error {
			got, err := contextOf(answer)
			if err != nil {
				return err
			}
			if want := hosts[names[n%2]]; got.Claims.Tenant.ID.String() != want {
				return fmt.Errorf("the token is of %s, want %s", got.Claims.Tenant.ID, want)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Contains(seen, got.KeyID) {
				seen = append(seen, got.KeyID)
			}
			return nil
		},
	})
	more := func(what string) {
		t.Helper()
		before := load.Done()
		harness.Eventually(t, 20*time.Second, func() error {
			if load.Done() < before+200 {
				return fmt.Errorf("%s: only %d requests", what, load.Done()-before)
			}
			return nil
		})
	}
	more("with the old key")
	for _, step := range []struct {
		files     string
		published []string
	}{
		{oldFile + " " + newFile, []string{oldID, newID}},
		{newFile + " " + oldFile, []string{newID, oldID}},
		{newFile, []string{newID}},
	} {
		if r := g.Reload(t, options(step.files)); r.ExitCode != 0 {
			t.Fatalf("reload: exit code %d\n%s", r.ExitCode, r.Output())
		}
		// What the upstream does by itself when its copy is some minutes old; only then may the next step come.
		harness.Eventually(t, 10*time.Second, func() error {
			if ids := v.fetch(t); !slices.Equal(ids, step.published) {
				return fmt.Errorf("published are %q, want %q", ids, step.published)
			}
			return nil
		})
		more(step.files)
	}
	report := load.Stop()
	t.Log(report)
	if report.Failures > 0 {
		t.Errorf("requests were not verified: %s", report)
	}
	if !slices.Equal(seen, []string{oldID, newID}) {
		t.Errorf("signed have %q, want %q", seen, []string{oldID, newID})
	}
}

// Promise: a client's own X-Tenant-Context never gets through: not in another spelling, not signed by tricks, and not as
// another tenant's token that was good once. What arrives is the gateway's, about the request's tenant.
func TestContextForged(t *testing.T) {
	t.Parallel()
	keys := harness.FreeAddress(t)
	v := startVerifier(t, nil, "--jwks", "http://"+keys+"/")
	file, id, public := contextKeyFile(t, "key.pem")
	u := harness.StartUpstream(t, "echo")
	b := fileBackend(t)
	d := verifiedTenants(v)
	d.Tenants[1].Environments[0].Upstreams = []string{u.Address} // globex shows its tokens
	b.load(t, d)
	g := harness.Start(t, harness.Options{
		Tenants: b.directive("") + "context {\nkey " + file + "\n}\n", Env: b.env(),
		Global: "servers {\nexpected_underscore_headers x_*\n}",
		Site:   contextSites(keys, "inject context\nexempt /open", "handle /open {\nreverse_proxy "+u.Address+"\n}"),
	})
	stolen := g.Get(t, "globex.app.test", "/").Echo(t).Values("X-Tenant-Context")
	if len(stolen) != 1 {
		t.Fatalf("%q", stolen)
	}
	claims := jwt.MapClaims{"iss": "tenantgate", "exp": time.Now().Add(time.Hour).Unix(), "tenant": map[string]string{"id": globexID}, "environment": map[string]string{"id": globexProd}}
	sign := func(method jwt.SigningMethod, key any) string {
		token := jwt.NewWithClaims(method, claims)
		token.Header["typ"], token.Header["kid"] = assertion.TokenType, id
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for kind, token := range map[string]string{
		"another tenant's": stolen[0], "none": sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"HMAC by public key": sign(jwt.SigningMethodHS256, []byte(public)), "another key": sign(jwt.SigningMethodEdDSA, other),
	} {
		for _, name := range spellings("X-Tenant-Context") {
			got, err := contextOf(g.Send(t, harness.Ask{Host: "acme.app.test", Header: map[string]string{name: token}}))
			if err != nil || got.Claims.Tenant.ID.String() != acmeID || got.KeyID != id {
				t.Errorf("%s as %s: %+v, %v", kind, name, got, err)
			}
			answer := g.Send(t, harness.Ask{Host: "globex.app.test", Path: "/open", Header: map[string]string{name: token}})
			if values := answer.Echo(t).Values("X-Tenant-Context"); len(values) != 0 {
				t.Errorf("%s as %s on an exempt path: %q", kind, name, values)
			}
		}
	}
	// The upstream does tell good from bad: asked directly, it takes the gateway's token and none of the others.
	direct := func(token string) int {
		answer, err := harness.Send(t.Context(), harness.NewClient(1), v.Address, harness.Ask{Header: map[string]string{"X-Tenant-Context": token}})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status
	}
	if status := direct(stolen[0]); status != 200 {
		t.Errorf("the gateway's token: %d", status)
	}
	if status := direct(sign(jwt.SigningMethodHS256, []byte(public))); status != 401 {
		t.Errorf("HMAC by public key: %d", status)
	}
}
