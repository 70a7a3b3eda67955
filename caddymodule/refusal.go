package caddymodule

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/router"
)

// maxInstance bounds the path that a problem repeats as its instance, in bytes.
const maxInstance = 256

// writeRefusal answers a refused request: with an HTML page if the client prefers that, else with a problem.
func writeRefusal(w http.ResponseWriter, r *http.Request, refusal *router.Refusal) {
	header := w.Header()
	refusalHeaders(header, refusal)
	header.Add("Vary", "Accept")
	header.Set("X-Content-Type-Options", "nosniff")
	body := make([]byte, 0, 512)
	if accept := r.Header["Accept"]; len(accept) > 0 && router.PrefersHTML(accept[0]) {
		header.Set("Content-Type", router.HTMLContentType)
		header.Set("Content-Security-Policy", "default-src 'none'")
		body = refusal.AppendHTML(body)
	} else {
		header.Set("Content-Type", router.ProblemContentType)
		body = refusal.AppendProblem(body, instance(r))
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(refusal.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// instance returns the path of the request, without the query, which may hold secrets.
func instance(r *http.Request) string {
	if path := r.URL.EscapedPath(); len(path) <= maxInstance {
		return path
	}
	return ""
}

// refusalHeaders sets the headers that a refusal has whoever writes its body.
func refusalHeaders(header http.Header, refusal *router.Refusal) {
	header.Set("Cache-Control", "no-store")
	if refusal.RetryAfter > 0 {
		header.Set(quota.HeaderRetryAfter, string(quota.AppendRetryAfter(nil, refusal.RetryAfter)))
	}
	if refusal.Challenge != "" {
		header.Set("WWW-Authenticate", refusal.Challenge)
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
