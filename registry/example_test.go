package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// A registry in a file: filled from an import document, asked for a tenant, and watched for changes.
func Example() {
	dir, err := os.MkdirTemp("", "registry")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(dir, "tenants.db")})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	ctx := context.Background()
	if err := store.Migrate(ctx); err != nil {
		panic(err)
	}
	document := `{"tenants": [{"slug": "acme", "plan": "pro", "environments": [{"slug": "production", "upstreams": ["127.0.0.1:9002"]}]}]}`
	report, err := store.Import(ctx, strings.NewReader(document), registry.ImportOptions{Actor: "example"})
	if err != nil {
		panic(err)
	}
	fmt.Println("created:", report.Tenants.Created)

	r, err := store.Resolve(ctx, registry.Reference{Kind: registry.KindSlug, Key: "acme"})
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Tenant.Slug, r.Environment.Slug, r.Upstreams[0])

	_, err = store.Resolve(ctx, registry.Reference{Kind: registry.KindSlug, Key: "globex"})
	fmt.Println(err, errors.Is(err, registry.ErrUnavailable))

	changes, err := store.Changes(ctx, 0, 100)
	if err != nil {
		panic(err)
	}
	for _, change := range changes.List {
		fmt.Println(change.Seq, change.Entity, change.Key)
	}
	// Output:
	// created: 1
	// acme production 127.0.0.1:9002
	// tenant not found false
	// 1 organization acme
	// 2 environment production
}

// A document with a problem is refused as a whole, with the place.
func ExampleParseDocument() {
	_, err := registry.ParseDocument(strings.NewReader(`{
  "tenants": [
    {"slug": "acme", "quotas": {"apiRateLimit": 0}},
    {"slug": "Globex"}
  ]
}`))
	fmt.Println(err)
	// Output:
	// tenants[0].quotas.apiRateLimit: must be from 1 to 9007199254740992, not 0 (leave it out for no limit) (line 3)
	// tenants[1].slug: "Globex" is no slug: want 1 to 63 of a-z, 0-9 and single hyphens, beginning and ending with a letter or digit (line 4)
}
