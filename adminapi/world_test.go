package adminapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// world is an API on a registry of its own. All that it answers is held against its OpenAPI document.
type world struct {
	t     testing.TB
	api   *adminapi.API
	store *registry.Store
	live  *gateway
	doc   *document
}

// newWorld returns the API on a new registry in a file, with a gateway that only counts.
func newWorld(t testing.TB) *world {
	t.Helper()
	return worldOn(t, registry.Options{URL: "file:" + filepath.Join(t.TempDir(), "registry.db")})
}

func worldOn(t testing.TB, o registry.Options) *world {
	t.Helper()
	store, err := registry.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, live: &gateway{}}
	w.api = newAPI(t, adminapi.Options{Backend: adminapi.Fixed(adminapi.Backend{Store: store, Live: w.live})})
	w.doc = readDocument(t, w.api)
	return w
}

func newAPI(t testing.TB, o adminapi.Options) *adminapi.API {
	t.Helper()
	api, err := adminapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// reply is an answer of the API.
type reply struct {
	*http.Response
	text []byte
}

// into reads the answer's JSON.
func into[T any](t testing.TB, r reply) (v T) {
	t.Helper()
	if err := json.Unmarshal(r.text, &v); err != nil {
		t.Fatalf("%s: %v", r.text, err)
	}
	return v
}

// ask sends a request; headers are names and values in turn.
func (w *world) ask(method, path, body string, headers ...string) reply {
	w.t.Helper()
	return w.send(w.api, method, path, body, headers...)
}

func (w *world) send(api http.Handler, method, path, body string, headers ...string) reply {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	api.ServeHTTP(rec, r)
	resp := rec.Result()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.doc.check(w.t, r, body, resp, text)
	return reply{resp, text}
}

// want is ask for a status; it fails the test at another one.
func (w *world) want(status int, method, path, body string, headers ...string) reply {
	w.t.Helper()
	r := w.ask(method, path, body, headers...)
	if r.StatusCode != status {
		w.t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, r.StatusCode, r.text, status)
	}
	return r
}

// refused is want for a refusal with a code and the place of the mistake.
func (w *world) refused(status int, code, field, method, path, body string, headers ...string) adminapi.Problem {
	w.t.Helper()
	r := w.ask(method, path, body, headers...)
	p := into[adminapi.Problem](w.t, r)
	if r.StatusCode != status || p.Status != status || p.Code != code || p.Field != field {
		w.t.Errorf("%s %s %.200s %v:\n\t%d %s\n\twant %d %s at %q", method, path, body, headers, r.StatusCode, r.text, status, code, field)
	}
	return p
}

// document is the OpenAPI document, as a client reads it.
type document struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				}
			}
		}
		Responses map[string]struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				}
			}
		}
	}

	patterns map[string]*regexp.Regexp
	compiler *jsonschema.Compiler
	mu       sync.Mutex
}

func readDocument(t testing.TB, api http.Handler) *document {
	t.Helper()
	rec := httptest.NewRecorder()
	api.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/tenants/_openapi.json", http.NoBody))
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("the OpenAPI document: %d %s", rec.Code, rec.Body)
	}
	d := &document{patterns: map[string]*regexp.Regexp{}, compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(rec.Body.Bytes(), d); err != nil {
		t.Fatal(err)
	}
	whole, err := jsonschema.UnmarshalJSON(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	for path := range d.Paths {
		d.patterns[path] = regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "([^/]+)") + "$")
	}
	return d
}

// template finds the path of the document that a request is for: the one with the fewest parameters; "" for none.
func (d *document) template(path string) (best string) {
	for template, pattern := range d.patterns {
		if strings.HasPrefix(path, "/tenants/_") != strings.HasPrefix(template, "/tenants/_") {
			continue
		}
		if pattern.MatchString(path) && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	return best
}

// check holds an exchange against the document: the answer always, the request where it succeeded.
func (d *document) check(t testing.TB, r *http.Request, body string, resp *http.Response, text []byte) {
	t.Helper()
	method := strings.ToLower(r.Method)
	if method == "head" || resp.StatusCode == http.StatusNotModified {
		if len(text) > 0 {
			t.Errorf("%s %s: %d with a body", r.Method, r.URL, resp.StatusCode)
		}
		return
	}
	template := d.template(r.URL.EscapedPath())
	op, known := d.Paths[template][method]
	status, media := strconv.Itoa(resp.StatusCode), resp.Header.Get("Content-Type")
	answer, ok := op.Responses[status]
	switch {
	case !known && resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed:
		t.Errorf("%s %s: %d, and it is not in the document", r.Method, r.URL, resp.StatusCode)
		return
	case !known:
		d.validate(t, "#/components/schemas/Problem", text)
		return
	case !ok && resp.StatusCode < 400:
		t.Errorf("%s %s: the document has no status %s", r.Method, r.URL, status)
		return
	case !ok:
		answer = op.Responses["default"]
	}
	if len(answer.Content) == 0 {
		if len(text) > 0 {
			t.Errorf("%s %s: %s has a body: %s", r.Method, r.URL, status, text)
		}
		return
	}
	content, ok := answer.Content[media]
	if !ok {
		t.Errorf("%s %s: %s is %q", r.Method, r.URL, status, media)
		return
	}
	d.validate(t, content.Schema.Ref, text)
	if resp.StatusCode < 300 && body != "" {
		d.validate(t, op.RequestBody.Content["application/json"].Schema.Ref, []byte(body))
	}
}

func (d *document) validate(t testing.TB, ref string, text []byte) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	schema, err := d.compiler.Compile("openapi.json" + ref)
	if err != nil {
		t.Fatalf("%s: %v", ref, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Errorf("%s: %s: %v", ref, text, err)
		return
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%.500s: %v", text, err)
	}
}
