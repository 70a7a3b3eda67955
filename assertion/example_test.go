package assertion_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/assertion"
	"github.com/tenantgate/tenantgate/registry"
)

// An upstream in Go: the keys come from the gateway's key set, and are fetched again for one that is not known.
func Example() {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	key, err := assertion.NewKey(private)
	if err != nil {
		panic(err)
	}
	keys, err := assertion.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keys.JWKS()) }))
	defer gateway.Close()
	signer, err := assertion.NewSigner(assertion.Options{Keys: keys, Audience: []string{"app"}})
	if err != nil {
		panic(err)
	}
	token, err := signer.Token(assertion.Facts{
		Resolved: &registry.Resolved{
			Tenant:      registry.ResolvedTenant{ID: uuid.New(), Slug: "acme"},
			Environment: registry.ResolvedEnvironment{ID: uuid.New(), Slug: "production"},
		},
		User: "u1",
	}, time.Now())
	if err != nil {
		panic(err)
	}

	// What an upstream does once:
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client, err := jwkset.NewDefaultHTTPClientCtx(ctx, []string{gateway.URL})
	if err != nil {
		panic(err)
	}
	// And for each request:
	type claims struct {
		jwt.RegisteredClaims
		Tenant struct{ ID, Slug string }
	}
	parsed, err := jwt.ParseWithClaims(token, new(claims), func(token *jwt.Token) (any, error) {
		if token.Header["typ"] != assertion.TokenType {
			return nil, errors.New("not a tenant context")
		}
		id, _ := token.Header["kid"].(string)
		k, err := client.KeyRead(ctx, id)
		return k.Key(), err
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer("tenantgate"), jwt.WithAudience("app"), jwt.WithExpirationRequired())
	if err != nil {
		panic(err)
	}
	c := parsed.Claims.(*claims)
	fmt.Println(c.Tenant.Slug, c.Subject)
	// Output: acme u1
}
