//go:build !race

package caddymodule

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestAllocations holds the number of allocations that the handler makes for a warm request, strip to inject:
//
//   - 1: the request's state
//   - 1: the function value that provides placeholders
//   - 1, only with a limit: the text of the rate limit headers
//   - 4: the header map with room for nine more; none where there is room, as with fifteen to nineteen headers, and none
//     with inject late
//   - none for a token, a session or an API key once it was seen, nor for the user's membership
//   - 3, only with an access log: keeping a field for it (one list, and two tables of Caddy's for its loggers)
//
// AllocsPerRun misreports with the race detector.
func TestAllocations(t *testing.T) {
	for _, tt := range benchCases {
		h := tt.make(t)
		next := benchNext(h)
		prepare := testing.AllocsPerRun(200, func() { benchRequest(tt.host, tt.header(), tt.server) })
		serve := testing.AllocsPerRun(200, func() {
			w, r := benchRequest(tt.host, tt.header(), tt.server)
			if err := h.ServeHTTP(w, r, next); err != nil {
				t.Fatal(err)
			}
		})
		if got := int(serve - prepare); got != tt.allocs {
			t.Errorf("%s: %d allocations, not %d", tt.name, got, tt.allocs)
		}
	}
}

// Promise: no header is copied where there is room for the injected ones: not with fifteen to nineteen, for which Go's maps
// have room for 28. Where there is none, the map that takes the place of theirs is made once, with 4 allocations.
func TestHeaderRoomAllocations(t *testing.T) {
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	h := benchHandler(t)
	prepare := func(n int) (http.ResponseWriter, *http.Request) {
		header := make(http.Header, n)
		for _, name := range roomNames[:n] {
			header[name] = roomValue
		}
		return benchRequest("acme.app.example.com", header, &caddyhttp.Server{})
	}
	for n, want := range map[int]int{0: 6, 2: 6, 8: 6, 14: 6, 15: 2, 17: 2, 19: 2, 20: 6} {
		without := testing.AllocsPerRun(200, func() { prepare(n) })
		with := testing.AllocsPerRun(200, func() {
			w, r := prepare(n)
			if err := h.ServeHTTP(w, r, next); err != nil {
				t.Fatal(err)
			}
		})
		if got := int(with - without); got != want {
			t.Errorf("%d headers: %d allocations, not %d", n, got, want)
		}
	}
}

// roomNames are names of headers that nobody injects.
var roomNames = func() (names [20]string) {
	for i := range names {
		names[i] = "Header-" + strconv.Itoa(i)
	}
	return names
}()

var roomValue = []string{"value"}

// TestRefusalAllocations holds the number of allocations that a refusal makes:
//
//   - 2: the request's state and the function value, as above
//   - 2, only over quota: the text of the rate limit headers, and the refusal with the names of up to two limits. (Retry-After
//     is one more from 100 s on.)
func TestRefusalAllocations(t *testing.T) {
	for _, c := range refusalCases(t) {
		prepare := c
		prepare.handler = nil
		got := int(testing.AllocsPerRun(200, func() { benchRefusal(t, &c) }) - testing.AllocsPerRun(200, func() { benchRefusal(t, &prepare) }))
		if got != c.allocs {
			t.Errorf("%s: %d allocations, not %d", c.name, got, c.allocs)
		}
	}
}

// TestUpstreamsAllocations holds that `dynamic tenant` makes two allocations for an attempt, however many upstreams there
// are.
func TestUpstreamsAllocations(t *testing.T) {
	for _, n := range []int{1, 10} {
		res := acme()
		app := testApp(t, res)
		app.fallback = &pool{scheme: "http", addresses: slices.Repeat([]string{"127.0.0.1:9001"}, n)}
		res.Upstreams = nil
		_, r := serve(t, testHandler(t, app, &Handler{}, subdomains()), http.MethodGet, "http://acme.app.test/", nil)
		u := &Upstreams{app: app}
		got := testing.AllocsPerRun(100, func() {
			if list, err := u.GetUpstreams(r); err != nil || len(list) != n {
				t.Fatal(len(list), err)
			}
		})
		if got != 2 {
			t.Errorf("%d upstreams: %v allocations", n, got)
		}
	}
}
