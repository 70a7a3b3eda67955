package adminapi_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// keyring is one key for tests.
func keyring(t testing.TB, id string) *registry.Keyring {
	t.Helper()
	k, err := registry.NewSecretKey(id, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789ab"+(id + "----")[:4])))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := registry.NewKeyring(k)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func sealingWorld(t testing.TB) *world {
	t.Helper()
	return worldOn(t, registry.Options{URL: "file:" + filepath.Join(t.TempDir(), "registry.db"), Keys: keyring(t, "k1"), Timeout: time.Minute})
}

const credentials = "/tenants/acme/environments/production/credentials"

// Promise: a credential is stored, replaced, revealed and revoked with versions and pages like every record; its secret is
// in no answer but the one that reveals it, which no cache may keep, and in no row of the audit log.
func TestCredentials(t *testing.T) {
	w := sealingWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	r := w.want(201, "POST", credentials, `{"secret": "secret-<1>&\n", "expiresAt": "2100-01-01T00:00:00Z"}`)
	first := into[registry.DatabaseCredential](t, r)
	path := credentials + "/" + first.ID.String()
	if first.Scope != "readwrite" || first.Status != "active" || first.KeyID != "k1" || r.Header.Get("Location") != path || r.Header.Get("ETag") != `"1"` {
		t.Errorf("created: %v %s", r.Header, r.text)
	}
	shown := string(r.text)
	show := func(r reply) reply {
		shown += string(r.text)
		return r
	}
	r = w.want(200, "POST", path+"/reveal", "", "If-Match", `"1"`)
	if revealed := into[adminapi.RevealedCredential](t, r); revealed.Secret != "secret-<1>&\n" || revealed.ID != first.ID || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("ETag") != `"1"` {
		t.Errorf("revealed: %v %s", r.Header, r.text)
	}
	w.refused(412, "version_conflict", "", "POST", path+"/reveal", "", "If-Match", `"2"`)
	w.refused(412, "version_conflict", "", "POST", path+"/rotate", `{"secret": "secret-2"}`, "If-Match", `"2"`)
	second := into[registry.DatabaseCredential](t, show(w.want(201, "POST", path+"/rotate", `{"secret": "secret-2"}`, "If-Match", `"1"`)))
	if second.RotatedFrom != first.ID || second.Status != "active" || !second.ExpiresAt.IsZero() {
		t.Errorf("rotated: %+v", second)
	}
	if got := into[registry.DatabaseCredential](t, show(w.want(200, "GET", path, ""))); got.Status != "rotating" || got.Version != 2 {
		t.Errorf("the old one: %+v", got)
	}
	other := credentials + "/" + second.ID.String()
	w.refused(409, "state_conflict", "", "POST", other+"/rotate", `{"secret": "secret-3"}`)
	w.refused(409, "state_conflict", "", "POST", path+"/rotate", `{"secret": "secret-3"}`)
	w.refused(412, "version_conflict", "", "DELETE", path, "", "If-Match", `"1"`)
	if got := into[registry.DatabaseCredential](t, show(w.want(200, "DELETE", path, "", "If-Match", `"2"`))); got.Status != "revoked" || got.RevokedAt.IsZero() {
		t.Errorf("revoked: %+v", got)
	}
	w.want(200, "DELETE", path, "")
	w.refused(409, "state_conflict", "", "POST", path+"/reveal", "")
	show(w.want(201, "POST", credentials, `{"scope": "admin", "secret": "secret-4", "expiresAt": null}`))
	page := into[adminapi.List[registry.DatabaseCredential]](t, show(w.want(200, "GET", credentials+"?limit=2", "")))
	rest := into[adminapi.List[registry.DatabaseCredential]](t, show(w.want(200, "GET", credentials+"?limit=2&cursor="+page.Next, "")))
	if len(page.Items) != 2 || page.Next == "" || len(rest.Items) != 1 || rest.Next != "" || rest.Items[0].Scope != "admin" {
		t.Errorf("pages: %+v %+v", page, rest)
	}
	show(w.want(200, "POST", "/tenants/_credentials/reseal", ""))
	for _, path := range []string{"/tenants/acme", "/tenants/acme/environments/production", "/tenants/acme/audit?limit=500", "/tenants/_audit?limit=500"} {
		show(w.want(200, "GET", path, ""))
	}
	if strings.Contains(shown, "secret-") || strings.Contains(strings.ToLower(shown), "cipher") {
		t.Errorf("an answer shows a secret: %s", shown)
	}
	for _, action := range []string{"create", "rotate", "revoke", "reveal"} {
		if !strings.Contains(shown, `"database_credential.`+action+`"`) {
			t.Errorf("the audit log has no %s", action)
		}
	}
}

// Promise: what is wrong with a request about a credential is said with its place, never with the secret, and nothing is
// written.
func TestBadCredentials(t *testing.T) {
	w := sealingWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	w.want(201, "POST", "/tenants", `{"slug": "globex"}`)
	id := into[registry.DatabaseCredential](t, w.want(201, "POST", credentials, `{"secret": "hunter2"}`)).ID.String()
	path := credentials + "/" + id
	before := string(w.want(200, "GET", "/tenants/_audit?limit=500", "").text)
	const private = "hunter2"
	for _, tt := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		{"POST", credentials, ``, 400, "invalid", ""},
		{"POST", credentials, `{}`, 400, "invalid", "secret"},
		{"POST", credentials, `{"secret": ""}`, 400, "invalid", "secret"},
		{"POST", credentials, `{"secret": null}`, 400, "invalid", "secret"},
		{"POST", credentials, `{"secret": {"a": "hunter2"}}`, 400, "invalid", "secret"},
		{"POST", credentials, `{"secret": "hunter2`, 400, "invalid", "secret"},
		{"POST", credentials, `{"secret": "hunter2\ud800"}`, 400, "invalid", "secret"},
		{"POST", credentials, `{"secret": "hunter2\u0000"}`, 400, "invalid", "secret"},
		{"POST", credentials, `{"secret": "` + strings.Repeat("hunter2", 1200) + `"}`, 400, "too_long", "secret"},
		{"POST", credentials, `{"secret": "hunter2", "secret": "hunter2"}`, 400, "duplicate", "secret"},
		{"POST", credentials, `{"secret": "hunter2", "scope": "all"}`, 400, "invalid", "scope"},
		{"POST", credentials, `{"secret": "hunter2", "scope": 1}`, 400, "invalid", "scope"},
		{"POST", credentials, `{"secret": "hunter2", "status": "active"}`, 400, "unknown_field", "status"},
		{"POST", credentials, `{"secret": "hunter2", "expiresAt": "2001-01-01T00:00:00Z"}`, 400, "invalid", "expiresAt"},
		{"POST", credentials, `{"secret": "hunter2", "expiresAt": "soon"}`, 400, "invalid", "expiresAt"},
		{"POST", credentials, `{"secret": "hunter2"}`, 409, "duplicate", "scope"},
		{"POST", "/tenants/acme/environments/none/credentials", `{"secret": "hunter2"}`, 404, "not_found", ""},
		{"POST", "/tenants/nobody/environments/production/credentials", `{"secret": "hunter2"}`, 404, "not_found", ""},
		{"GET", credentials + "?limit=0", ``, 400, "invalid", "limit"},
		{"GET", credentials + "?cursor=x", ``, 400, "invalid", "cursor"},
		{"GET", credentials + "?scope=admin", ``, 400, "unknown_field", "scope"},
		{"GET", credentials + "/x", ``, 404, "not_found", ""},
		{"GET", "/tenants/globex/environments/production/credentials/" + id, ``, 404, "not_found", ""},
		{"POST", "/tenants/globex/environments/production/credentials/" + id + "/reveal", ``, 404, "not_found", ""},
		{"DELETE", "/tenants/globex/environments/production/credentials/" + id, ``, 404, "not_found", ""},
		{"DELETE", path, `{"reason": "hunter2"}`, 400, "invalid", ""},
		{"POST", path + "/reveal", `{"secret": "hunter2"}`, 400, "invalid", ""},
		{"GET", path + "/reveal", ``, 405, adminapi.CodeMethod, ""},
		{"PATCH", path, `{"secret": "hunter2"}`, 405, adminapi.CodeMethod, ""},
		{"POST", path + "/rotate", ``, 400, "invalid", ""},
		{"POST", path + "/rotate", `{"secret": ""}`, 400, "invalid", "secret"},
		{"POST", path + "/rotate", `{"secret": "hunter2", "scope": "admin"}`, 400, "unknown_field", "scope"},
		{"POST", "/tenants/_credentials/reseal", `{"limit": 101}`, 400, "invalid", "limit"},
		{"POST", "/tenants/_credentials/reseal", `{"cursor": "x"}`, 400, "invalid", "cursor"},
		{"POST", "/tenants/_credentials/reseal", `{"all": true}`, 400, "unknown_field", "all"},
	} {
		if p := w.refused(tt.status, tt.code, tt.field, tt.method, tt.path, tt.body); p.Detail == "" || strings.Contains(p.Detail, private) || strings.Contains(p.Detail, "hunter") {
			t.Errorf("%s %s %.100s: %+v", tt.method, tt.path, tt.body, p)
		}
	}
	if after := string(w.want(200, "GET", "/tenants/_audit?limit=500", "").text); after != before {
		t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
	}
}

// Promise: without a key for secrets what needs one is refused with what to configure; the rest works.
func TestCredentialsWithoutKey(t *testing.T) {
	file := "file:" + filepath.Join(t.TempDir(), "registry.db")
	w := worldOn(t, registry.Options{URL: file, Keys: keyring(t, "k1"), Timeout: time.Minute})
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	path := w.want(201, "POST", credentials, `{"secret": "hunter2"}`).Header.Get("Location")
	w = worldOn(t, registry.Options{URL: file, Timeout: time.Minute})
	for _, tt := range [][2]string{{credentials, `{"secret": "hunter2", "scope": "admin"}`}, {path + "/rotate", `{"secret": "hunter3"}`}, {path + "/reveal", ""}, {"/tenants/_credentials/reseal", ""}} {
		if p := w.refused(409, "state_conflict", "", "POST", tt[0], tt[1]); !strings.Contains(p.Detail, "secrets { key ID KEY }") {
			t.Errorf("%s: %s", tt[0], p.Detail)
		}
	}
	w.want(200, "GET", credentials, "")
	w.want(200, "GET", path, "")
	w.want(200, "DELETE", path, "")
}

// Promise: a creation of a credential with an Idempotency-Key is made once; with another secret, scope or end the key is
// refused.
func TestIdempotentCredential(t *testing.T) {
	w := sealingWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	const body = `{"secret": "hunter2", "scope": "admin"}`
	one := w.want(201, "POST", credentials, body, "Idempotency-Key", "k")
	two := w.want(201, "POST", credentials, body, "Idempotency-Key", "k")
	if string(one.text) != string(two.text) || two.Header.Get("Idempotency-Replayed") != "true" || one.Header.Get("Location") != two.Header.Get("Location") {
		t.Errorf("%s, then %v %s", one.text, two.Header, two.text)
	}
	for _, other := range []string{`{"secret": "hunter3", "scope": "admin"}`, `{"secret": "hunter2"}`, `{"secret": "hunter2", "scope": "admin", "expiresAt": "2100-01-01T00:00:00Z"}`} {
		w.refused(422, adminapi.CodeKeyReused, "Idempotency-Key", "POST", credentials, other, "Idempotency-Key", "k")
	}
	w.refused(409, "duplicate", "scope", "POST", credentials, body, "Idempotency-Key", "k", "X-Actor", "somebody else")
}
