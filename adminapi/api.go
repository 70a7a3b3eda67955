package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// DefaultTimeout is the default of [Options.Timeout].
	DefaultTimeout = 30 * time.Second
	// MaxBody is the longest body of a request, in bytes.
	MaxBody = 1 << 20
	// MaxPage is the most records of a page.
	MaxPage = 500
)

// Options are what an [API] is made of.
type Options struct {
	// Backend returns what a request works on, and a function to be called when it is done. Its error means that there
	// is nothing to work on: the request is refused with 503. Required; see [Fixed].
	Backend func(*http.Request) (Backend, func(), error)
	// Timeout bounds a request: reading its body, the registry, and the answer. Default: DefaultTimeout.
	Timeout time.Duration
	// Actor returns who makes a request where the connection itself proves it; false: it proves nothing, and the header
	// X-Actor counts. Default: the subject of a verified client certificate.
	Actor func(*http.Request) (id, kind string, ok bool)
	// Random gives the randomness of API keys. Default: crypto/rand.
	Random io.Reader
	// Logger gets failures that the answer does not explain. Default: nothing is logged.
	Logger *slog.Logger
}

// API is the admin interface. It is immutable and serves any number of requests at once.
type API struct {
	options Options
	// records has the paths whose first element is a tenant, special those where it begins with "_".
	records, special *http.ServeMux
	document         json.RawMessage // OpenAPI
}

// New returns the handler of everything under /tenants.
func New(o Options) (*API, error) {
	if o.Backend == nil {
		return nil, errors.New("adminapi: a backend is needed")
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Actor == nil {
		o.Actor = certificateActor
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	routes := allRoutes()
	a := &API{options: o, document: openAPI(routes), records: http.NewServeMux(), special: http.NewServeMux()}
	byPath := map[string]methods{}
	for i := range routes {
		r := &routes[i]
		if byPath[r.path] == nil {
			byPath[r.path] = methods{}
		}
		byPath[r.path][r.method] = r
	}
	for path, m := range byPath {
		mux := a.records
		if isSpecial(path) {
			mux = a.special
		}
		mux.Handle(path, a.handler(m))
	}
	for _, mux := range []*http.ServeMux{a.records, a.special} {
		mux.Handle("/", a.handler(nil))
	}
	return a, nil
}

// isSpecial reports whether a path is one that no slug can be in.
func isSpecial(path string) bool { return strings.HasPrefix(path, "/tenants/_") }

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isSpecial(r.URL.Path) {
		a.special.ServeHTTP(w, r)
		return
	}
	a.records.ServeHTTP(w, r)
}

// call is one request on its way.
type call struct {
	*http.Request
	Backend
	api   *API
	actor registry.Actor
	body  []byte
	query query
}

// answer is what a route answers with.
type answer struct {
	// status is 200 where it is 0.
	status int
	// body is written as JSON; nil: there is none.
	body any
	// version is the ETag; 0: none.
	version int64
	header  http.Header
}

// serve answers a call.
type serve func(ctx context.Context, c *call) (answer, error)

// methods are the routes of one path.
type methods map[string]*route

// handler serves one path.
func (a *API) handler(m methods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.options.Timeout)
		defer cancel()
		// The server may have no timeouts of its own. A writer that knows no deadlines is in memory.
		end, control := time.Now().Add(a.options.Timeout), http.NewResponseController(w)
		_, _ = control.SetReadDeadline(end), control.SetWriteDeadline(end.Add(a.options.Timeout))
		id := requestID(r)
		w.Header().Set("X-Request-Id", id)
		ans, err := a.dispatch(ctx, w, r, m, id)
		if err != nil {
			a.writeProblem(w, r, err)
			return
		}
		write(w, r, ans)
	})
}

// dispatch finds the route and calls it.
func (a *API) dispatch(ctx context.Context, w http.ResponseWriter, r *http.Request, m methods, id string) (answer, error) {
	if m == nil {
		return answer{}, errNoRoute
	}
	method := r.Method
	if method == http.MethodHead && m[method] == nil {
		method = http.MethodGet
	}
	f := m[method]
	if f == nil {
		return answer{}, &methodError{allow: m.allow()}
	}
	c := &call{Request: r, api: a}
	var err error
	if c.actor, err = a.actor(r, id); err != nil {
		return answer{}, err
	}
	if c.query, err = parseQuery(r.URL.RawQuery, f.params); err != nil {
		return answer{}, err
	}
	if c.body, err = readBody(w, r); err != nil {
		return answer{}, err
	}
	backend, done, err := a.options.Backend(r)
	if err != nil {
		return answer{}, &backendError{err}
	}
	defer done()
	c.Backend = backend
	ans, err := f.serve(ctx, c)
	if method != http.MethodGet && c.Live != nil && f.writes() {
		c.Live.Changed(ctx) // also after an error: the registry may have done what it did not confirm
	}
	return ans, err
}

// allow is the value of the header Allow (RFC 9110 §10.2.1).
func (m methods) allow() string {
	var list []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if m[method] == nil {
			continue
		}
		if list = append(list, method); method == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	return strings.Join(list, ", ")
}

// write sends an answer.
func write(w http.ResponseWriter, r *http.Request, ans answer) {
	h := w.Header()
	for name, values := range ans.header {
		h[name] = values
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	if ans.status == 0 {
		ans.status = http.StatusOK
	}
	if ans.version > 0 {
		tag := etag(ans.version)
		h.Set("ETag", tag)
		if r.Method == http.MethodGet && ans.status == http.StatusOK && matches(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if ans.body == nil {
		w.WriteHeader(ans.status)
		return
	}
	text, ready := ans.body.(json.RawMessage)
	if !ready {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(ans.body); err != nil {
			panic(err) // all bodies are ours
		}
		text = b.Bytes()
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(ans.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}
