package adminapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// harnessPatience is how long a registry may take to be back on a loaded machine.
const harnessPatience = 30 * time.Second

// Promise: of many changes with the same If-Match exactly one is made, and no update is lost without it being told.
func TestOneOfManyWins(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	const writers = 12
	var mu sync.Mutex
	won := map[int]int{}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			r := w.ask("PATCH", "/tenants/acme", fmt.Sprintf(`{"name": "writer %d"}`, i), "If-Match", `"1"`)
			mu.Lock()
			defer mu.Unlock()
			won[r.StatusCode]++
		})
	}
	wg.Wait()
	if won[200] != 1 || won[412] != writers-1 {
		t.Errorf("answers: %v", won)
	}
	if got := into[registry.Tenant](t, w.want(200, "GET", "/tenants/acme", "")); got.Version != 2 {
		t.Errorf("version %d after one change", got.Version)
	}
}

// Promise: a creation with an Idempotency-Key is made once however often and however concurrently it is asked for, each
// time with the same answer; the same key with another request is refused.
func TestIdempotentCreation(t *testing.T) {
	w := newWorld(t)
	const body = `{"slug": "acme"}`
	ids := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r := w.want(201, "POST", "/tenants", body, "Idempotency-Key", "first")
			mu.Lock()
			defer mu.Unlock()
			ids[into[registry.Tenant](t, r).ID.String()+r.Header.Get("Idempotency-Replayed")]++
		})
	}
	wg.Wait()
	replayed := 0
	for id, n := range ids {
		if strings.HasSuffix(id, "true") {
			replayed += n
		}
	}
	if len(ids) != 2 || replayed != 7 {
		t.Errorf("answers: %v", ids)
	}
	p := w.refused(422, adminapi.CodeKeyReused, "Idempotency-Key", "POST", "/tenants", `{"slug": "globex"}`, "Idempotency-Key", "first")
	if p.Detail == "" {
		t.Errorf("%+v", p)
	}
	w.refused(409, "duplicate", "slug", "POST", "/tenants", body)
	w.refused(409, "duplicate", "slug", "POST", "/tenants", body, "Idempotency-Key", "first", "X-Actor", "somebody else")

	for _, tt := range []struct{ path, body string }{
		{"/tenants/acme/environments", `{"slug": "dev"}`},
		{"/tenants/acme/environments/production/members", `{"userId": "u1", "role": "env_user"}`},
		{"/tenants/acme/environments/production/api-keys", `{"name": "k"}`},
	} {
		one := w.want(201, "POST", tt.path, tt.body, "Idempotency-Key", `"k-`+tt.path+`"`)
		two := w.want(201, "POST", tt.path, tt.body, "Idempotency-Key", "k-"+tt.path) // quoted or not is the same key
		a, b := into[map[string]any](t, one), into[map[string]any](t, two)
		if strings.HasSuffix(tt.path, "api-keys") {
			if a["key"] == nil || b["key"] != nil {
				t.Errorf("a key is shown again: %v", b)
			}
			delete(a, "key")
		}
		if fmt.Sprint(a) != fmt.Sprint(b) || one.Header.Get("Location") != two.Header.Get("Location") || two.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %v, then %v", tt.path, a, b)
		}
		w.refused(422, adminapi.CodeKeyReused, "Idempotency-Key", "POST", tt.path, strings.Replace(tt.body, "}", " }", 1), "Idempotency-Key", "k-"+tt.path)
	}
}

// Promise: a list of 2,500 tenants comes in pages, each tenant once, in order, whatever is created and removed meanwhile;
// filters hold on every page.
func TestPagination(t *testing.T) {
	w := newWorld(t)
	const n = 2500
	doc := &registry.Document{}
	for i := range n {
		r := registry.DocumentTenant{Slug: fmt.Sprintf("t-%04d", i)}
		if i%5 == 0 {
			r.Status = registry.StatusSuspended
		}
		doc.Tenants = append(doc.Tenants, r)
	}
	if _, err := w.store.ImportDocument(t.Context(), doc, registry.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		query       string
		want, pages int
	}{{"limit=500", n, 6}, {"limit=333", n, 8}, {"limit=500&status=suspended", n / 5, 1}, {"limit=7&prefix=t-01", 100, 15}, {"region=mars", 0, 1}} {
		seen, pages, cursor, last := 0, 0, "", ""
		for {
			query := tt.query
			if cursor != "" {
				query += "&cursor=" + cursor
			}
			page := into[adminapi.List[registry.Tenant]](t, w.want(200, "GET", "/tenants?"+query, ""))
			for _, r := range page.Items {
				if r.Slug <= last {
					t.Fatalf("%s: %s after %s", tt.query, r.Slug, last)
				}
				if last = r.Slug; strings.HasPrefix(r.Slug, "t-") {
					seen++
				}
			}
			if pages++; pages == 2 {
				// One before the cursor and one after it, which the rest of the list may show or not.
				w.ask("POST", "/tenants", `{"slug": "a-early"}`)
				w.ask("POST", "/tenants", `{"slug": "z-late"}`)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if seen != tt.want || pages != tt.pages {
			t.Errorf("%s: %d tenants on %d pages, want %d on %d", tt.query, seen, pages, tt.want, tt.pages)
		}
	}
}

// Promise: whatever bytes come as a body, the answer is one of the document's, and what is taken is read back as it was.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"slug": "acme"}`, `{"slug": "a", "environments": [{"slug": "b", "isDefault": true}]}`, `{"reason": "x"}`, `{"userId": "u", "role": "env_user"}`,
		`{"name": "k", "scopes": ["a"], "quotas": {"burst": 1}, "expiresAt": null}`, `{"quotas": {"burst": 3}}`, `{"tenant": "acme"}`, `[`, `{"a": `, "",
		`{"url": "http://a.test/", "headers": ["A: b"]}`, `{"slug":"x","slug":"y"}`, "{\"name\": \"\xff\"}", `{"graceSeconds": 1e3}`, `{"secret": "s", "scope": "admin"}`,
	} {
		f.Add(seed)
	}
	w := sealingWorld(f)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := &world{t: t, api: w.api, store: w.store, live: w.live, doc: w.doc}
		const production = "/tenants/acme/environments/production"
		for _, path := range []string{
			"/tenants", "/tenants/acme/environments", production + "/members", production + "/api-keys", production + "/credentials", "/tenants/_plans",
			"/tenants/acme/provision", "/tenants/_cache/purge", "/tenants/_resolve",
		} {
			r := w.ask("POST", path, body)
			if r.StatusCode >= 500 || !json.Valid(r.text) && len(r.text) > 0 {
				t.Fatalf("%s %q: %d %s", path, body, r.StatusCode, r.text)
			}
			if location := r.Header.Get("Location"); r.StatusCode == 201 {
				if again := w.want(200, "GET", location, ""); path != production+"/api-keys" && string(again.text) != string(r.text) {
					t.Fatalf("%s: created %s, read %s", path, r.text, again.text)
				}
			}
		}
		for _, path := range []string{"/tenants/acme", production} {
			if r := w.ask("PATCH", path, body); r.StatusCode >= 500 {
				t.Fatalf("%s %q: %d %s", path, body, r.StatusCode, r.text)
			}
		}
		w.ask("PUT", "/tenants/_plans/p", body)
		if r := w.ask("GET", "/tenants/acme", ""); r.StatusCode == 404 { // it may have been renamed
			w.ask("POST", "/tenants", `{"slug": "acme"}`)
		}
	})
}
