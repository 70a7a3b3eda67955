package caddymodule

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/router"
)

// maxInstance bounds the path that a problem repeats as its instance, in bytes.
const maxInstance = 256

// answer is the header of the answer to a refused request.
type answer struct {
	header http.Header
	// values has room for the values of the header fields, which the header map points to and nobody else may see: see
	// state.values.
	values []string
}

// maxAnswerFields is how many header fields a refusal sets at most: Cache-Control, Retry-After, WWW-Authenticate, Vary,
// X-Content-Type-Options, Content-Type, Content-Security-Policy and Content-Length.
const maxAnswerFields = 8

// answer begins an answer. Its values take the place of those that would have gone upstream, unless a handler behind the
// tenant handler refuses the request: by then they are there.
func (st *state) answer(header http.Header) answer {
	room := st.values[st.used:]
	if len(room) < maxAnswerFields {
		return answer{header, make([]string, maxAnswerFields)}
	}
	st.used += maxAnswerFields
	return answer{header, room[:maxAnswerFields]}
}

// set sets the header field of that name, which is canonical.
func (a *answer) set(key, value string) {
	a.values[0] = value
	a.header[key] = a.values[:1:1]
	a.values = a.values[1:]
}

// bodies are not made anew for each refusal. Nothing that writes keeps them (see io.Writer).
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// writeRefusal answers a refused request: with an HTML page if the client prefers that, else with a problem.
func (st *state) writeRefusal(w http.ResponseWriter, r *http.Request, refusal *router.Refusal) {
	a := st.answer(w.Header())
	a.refusal(refusal)
	if a.header["Vary"] == nil {
		a.set("Vary", "Accept")
	} else {
		a.header.Add("Vary", "Accept")
	}
	a.set("X-Content-Type-Options", "nosniff")
	memory := bodies.Get().(*[]byte)
	defer bodies.Put(memory)
	body := (*memory)[:0]
	if accept := r.Header["Accept"]; len(accept) > 0 && router.PrefersHTML(accept[0]) {
		a.set("Content-Type", router.HTMLContentType)
		a.set("Content-Security-Policy", "default-src 'none'")
		body = refusal.AppendHTML(body)
	} else {
		a.set("Content-Type", router.ProblemContentType)
		body = refusal.AppendProblem(body, instance(r))
	}
	*memory = body
	head := r.Method == http.MethodHead
	if head || len(body) > countedBody {
		a.set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(refusal.Status)
	if !head {
		_, _ = w.Write(body)
	}
}

// countedBody is up to which length, in bytes, servers count a body by themselves (net/http 2048 with HTTP/1.1, 4096 with
// HTTP/2) and need not be told. Without that field the header of a refusal over quota has as many as fit into the first
// size of a map.
const countedBody = 1024

// instance returns the path of the request, without the query, which may hold secrets.
func instance(r *http.Request) string {
	if path := r.URL.EscapedPath(); len(path) <= maxInstance {
		return path
	}
	return ""
}

// refusalHeaders sets the headers that a refusal has whoever writes its body.
func (st *state) refusalHeaders(header http.Header, refusal *router.Refusal) {
	a := st.answer(header)
	a.refusal(refusal)
}

// refusal is refusalHeaders.
func (a *answer) refusal(refusal *router.Refusal) {
	a.set("Cache-Control", "no-store")
	if refusal.RetryAfter > 0 {
		a.set(quota.HeaderRetryAfter, quota.FormatRetryAfter(refusal.RetryAfter))
	}
	if refusal.Challenge != "" {
		a.set("Www-Authenticate", refusal.Challenge)
	}
}

// failureInterval is the shortest time between two log lines about lookups that failed.
const failureInterval = 10 * time.Second

// throttle lets one log line through per interval and counts the others.
type throttle struct {
	interval time.Duration
	next     atomic.Int64 // Unix time in nanoseconds
	withheld atomic.Int64
}

func newThrottle(interval time.Duration) *throttle { return &throttle{interval: interval} }

// allow reports whether a line may be written now, and how many were withheld since the last one.
func (t *throttle) allow(now time.Time) (withheld int64, ok bool) {
	at, next := now.UnixNano(), t.next.Load()
	if at < next || !t.next.CompareAndSwap(next, at+int64(t.interval)) {
		t.withheld.Add(1)
		return 0, false
	}
	return t.withheld.Swap(0), true
}
