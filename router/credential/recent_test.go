package credential

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// testCookie is the n-th of many good cookies.
func testCookie(n int) (value, token string) {
	token = fmt.Sprintf("token-%024d", n)
	return sessionValue(sessionTestSecret, token), token
}

// Promise: what is remembered of a cookie is what a first look finds; bad cookies are refused as often as they come and
// are never remembered; and however many good ones come, no more are remembered than was configured.
func TestSessionRemembers(t *testing.T) {
	s := newSession(t, SessionOptions{Remember: 100})
	forgetful := newSession(t, SessionOptions{Remember: -1})
	for n := range 1000 {
		value, token := testCookie(n)
		bad := value[:len(value)-8] + strings.Repeat("A", 8)
		for range 2 {
			got, key, err := s.Verify(value)
			if err != nil || got != token || key != LookupKey(token) {
				t.Fatalf("%d: %q, %q, %v", n, got, key, err)
			}
			if got, _, err := s.Verify(bad); err == nil || got != "" {
				t.Fatalf("%d: a bad cookie passed as %q", n, got)
			}
		}
		if got, key, err := forgetful.Verify(value); err != nil || got != token || key != LookupKey(token) {
			t.Fatalf("%d, not remembering: %q, %q, %v", n, got, key, err)
		}
		if got := s.Remembered(); got > 100 || n < 40 && got != n+1 {
			t.Fatalf("%d cookies are remembered after %d", got, n+1)
		}
	}
	if got := forgetful.Remembered(); got != 0 {
		t.Errorf("%d cookies are remembered where none should be", got)
	}
}

// Promise: a cookie that is used stays, whatever else comes; one that is not used goes.
func TestSessionForgetsTheUnused(t *testing.T) {
	m := newRecent(10)
	store := func(n int) {
		value, token := testCookie(n)
		m.store(proven(value, token))
	}
	known := func(n int) bool {
		value, _ := testCookie(n)
		return m.load(value) != nil
	}
	store(0)
	store(1)
	for n := 2; n < 50; n++ {
		store(n)
		if !known(0) {
			t.Fatalf("a cookie in use is forgotten after %d others", n)
		}
	}
	if known(1) {
		t.Error("a cookie that nobody uses stays")
	}
}

// Promise: any number of requests may use one Session; each gets the answer to its own cookie.
func TestSessionRemembersConcurrently(t *testing.T) {
	s := newSession(t, SessionOptions{Remember: 16})
	var running sync.WaitGroup
	for g := range 8 {
		running.Go(func() {
			for n := range 500 {
				value, token := testCookie((n*7 + g) % 40)
				if got, key, err := s.Verify(value); err != nil || got != token || key != LookupKey(token) {
					t.Errorf("%q, %q, %v", got, key, err)
					return
				}
			}
		})
	}
	running.Wait()
	// Each goroutine may add one between looking at the size and changing the generation.
	if got := s.Remembered(); got > 16+2*8 {
		t.Errorf("%d cookies are remembered", got)
	}
}
