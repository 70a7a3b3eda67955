package registry_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: an inspection tells version of the schema and difference of the clocks, and changes nothing: a registry
// without a schema has none afterwards.
func TestInspect(t *testing.T) {
	t.Parallel()
	const fast = time.Hour // this machine's clock is an hour fast, so the registry's is an hour behind
	store, err := registry.Open(registry.Options{
		URL: "file:" + filepath.Join(t.TempDir(), "r.db"), Now: func() time.Time { return time.Now().Add(fast) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for range 2 {
		i, err := store.Inspect(t.Context())
		if err != nil || i.Schema != 0 || i.Known == 0 {
			t.Errorf("no schema: %+v, %v", i, err)
		}
		if _, err := store.GetTenant(t.Context(), "acme"); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("an inspection makes a registry usable: %v", err)
		}
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, err := store.Inspect(t.Context())
	if err != nil || i.Schema != i.Known || i.RoundTrip <= 0 || (i.Ahead+fast).Abs() > i.RoundTrip+10*time.Millisecond {
		t.Errorf("%+v, %v", i, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Inspect(t.Context()); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}
