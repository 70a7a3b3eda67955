package router

import (
	"fmt"
	"testing"

	"github.com/tenantgate/tenantgate/router/credential"
)

// TestKnownKeys keeps the promises of the memory of API keys: only what the registry knows gets in, a key that is revoked is
// refused all the same, and there is a bound.
func TestKnownKeys(t *testing.T) {
	w := newWorld()
	key, ref := apiKey(t, "dev")
	made, _ := apiKey(t, "dev")
	source := apiKeys(t, false)
	known := source.(*apiKeySource).known
	rt := newRouter(t, w, source)
	ask := func(key string) string {
		r := request(t, "", "/")
		r.HTTP.Header.Set(credential.DefaultKeyHeader, key)
		return outcome(rt.Route(t.Context(), r))
	}
	w.credential(ref, "acme", "dev", who{NamesTenant: true, NamesEnvironment: true})
	for range 3 {
		if got := ask(key); got != "acme/dev" || known.hash(key) != ref.Key || known.count.Load() != 1 {
			t.Errorf("%s; %d keys are remembered", got, known.count.Load())
		}
		if got := ask(made); got != CodeCredentialsInvalid || known.hash(made) != "" {
			t.Errorf("a made-up key: %s", got)
		}
	}
	delete(w.byRef, ref)
	if got := ask(key); got != CodeCredentialsInvalid {
		t.Errorf("revoked: %s", got)
	}
	for i := range 3 * maxKnownKeys {
		known.add(fmt.Sprint(i), "hash")
	}
	if n := known.hashes.Size(); n > maxKnownKeys {
		t.Errorf("%d keys are remembered, at most %d are allowed", n, maxKnownKeys)
	}
}
