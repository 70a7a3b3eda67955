package credential

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is the tests' clock.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(start.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// issuer is an issuer's server, which can be made to misbehave.
type issuer struct {
	*httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
	asked   atomic.Int64
}

func newIssuer(t *testing.T) *issuer {
	i := new(issuer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.handler.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answer(h http.HandlerFunc) { i.handler.Store(&h) }

func (i *issuer) publish(keys ...map[string]any) {
	i.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keySetJSON(keys...))) })
}

func (i *issuer) status(code int) {
	i.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func newTestJWKS(t *testing.T, c *clock, url string) *JWKS {
	t.Helper()
	j, err := NewJWKS(JWKSOptions{URL: url, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// tokenOf is a token signed with the key id and key given, different for each user.
func tokenOf(t testing.TB, keyID string, k crypto.Signer, user string) string {
	return sign(t, "ES256", keyID, k, with(standardClaims(), "sub", user))
}

// Promise: the gateway starts while the issuer is down; until it comes back, tokens are "not now" and not "bad"; the
// issuer is not asked for each of them, and within a second of its return tokens pass.
func TestIssuerDownAtStart(t *testing.T) {
	c, i := newClock(), newIssuer(t)
	i.status(http.StatusInternalServerError)
	j := newTestJWKS(t, c, i.URL)
	v := newVerifier(t, VerifierOptions{Keys: j})
	token := tokenOf(t, "k", p256Key(), "u")
	for range 100 {
		_, err := verify(v, token)
		wantReason(t, err, "keys_unavailable")
		if errors.Is(err, ErrRefused) {
			t.Fatal("a token that nobody could check counts as bad")
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times for 100 tokens", n)
	}
	i.publish(jwk(p256Key(), "kid", "k"))
	c.advance(firstRetry)
	if _, err := verify(v, token); err != nil {
		t.Error(err)
	}
	if s := j.Status(); s.Keys != 1 || s.Fetches != 2 || s.Failures != 1 || s.Failing != 0 || s.Err != nil || !s.Fetched.Equal(c.now()) {
		t.Errorf("status %+v", s)
	}
}

// Promise: what cannot be reached at all is the same as what answers 500.
func TestIssuerUnreachable(t *testing.T) {
	i := newIssuer(t)
	j := newTestJWKS(t, newClock(), i.URL+"/?secret=s3cret")
	i.Close()
	_, err := verify(newVerifier(t, VerifierOptions{Keys: j}), tokenOf(t, "k", p256Key(), "u"))
	wantReason(t, err, "keys_unavailable")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error shows the address: %v", err)
	}
}

// Promise: while the issuer is down, tokens of known keys pass, remembered or not; a token of an unknown key is "not
// now", because the key may be new; and soon after the issuer's return it passes.
func TestIssuerDownLater(t *testing.T) {
	c, i := newClock(), newIssuer(t)
	i.publish(jwk(p256Key(), "kid", "old"))
	v := newVerifier(t, VerifierOptions{Keys: newTestJWKS(t, c, i.URL)})
	if _, err := verify(v, tokenOf(t, "old", p256Key(), "u1")); err != nil {
		t.Fatal(err)
	}
	i.status(http.StatusServiceUnavailable)
	c.advance(time.Hour)
	for _, user := range []string{"u1", "u2", "u3"} {
		if _, err := verify(v, tokenOf(t, "old", p256Key(), user)); err != nil {
			t.Errorf("known key: %v", err)
		}
	}
	fresh := tokenOf(t, "new", otherKey(), "u")
	_, err := verify(v, fresh)
	wantReason(t, err, "keys_unavailable")
	if _, err := verify(v, tokenOf(t, "old", p256Key(), "u4")); err != nil {
		t.Errorf("known key after a failed fetch: %v", err)
	}
	i.publish(jwk(p256Key(), "kid", "old"), jwk(otherKey(), "kid", "new"))
	c.advance(firstRetry)
	if _, err := verify(v, fresh); err != nil {
		t.Errorf("new key: %v", err)
	}
}

// Promise: tokens of made-up key ids are bad tokens, and cause one fetch in MinInterval however many they are.
func TestUnknownKeyIDs(t *testing.T) {
	c, i := newClock(), newIssuer(t)
	i.publish(jwk(p256Key(), "kid", "k"))
	v := newVerifier(t, VerifierOptions{Keys: newTestJWKS(t, c, i.URL)})
	flood := func() {
		for n := range 200 {
			_, err := verify(v, tokenOf(t, fmt.Sprint("made up ", n), otherKey(), "u"))
			wantReason(t, err, ReasonKeyUnknown)
		}
	}
	flood()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
	c.advance(DefaultJWKSMinInterval)
	flood()
	if n := i.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
	// A secret is never among an issuer's keys, and a wrong signature of a known key is just wrong.
	c.advance(DefaultJWKSMinInterval)
	_, err := verify(v, sign(t, "HS256", "x", testSecret, standardClaims()))
	wantReason(t, err, ReasonAlgorithm)
	_, err = verify(v, tokenOf(t, "k", otherKey(), "u"))
	wantReason(t, err, ReasonSignature)
	if n := i.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

// Promise: when the issuer rotates its key, all who come with the new key at once pass, for one fetch; so they do
// where tokens and keys have no ids.
func TestRotation(t *testing.T) {
	for _, id := range []string{"new", ""} {
		t.Run("kid "+id, func(t *testing.T) {
			c, i := newClock(), newIssuer(t)
			i.publish(jwk(p256Key(), "kid", "old"))
			v := newVerifier(t, VerifierOptions{Keys: newTestJWKS(t, c, i.URL)})
			if _, err := verify(v, tokenOf(t, "old", p256Key(), "u")); err != nil {
				t.Fatal(err)
			}
			c.advance(DefaultJWKSMinInterval)
			release := make(chan struct{})
			document := keySetJSON(jwk(otherKey(), "kid", id))
			i.answer(func(w http.ResponseWriter, _ *http.Request) {
				<-release
				_, _ = w.Write([]byte(document))
			})
			const clients = 100
			results := make(chan error, clients)
			var ready sync.WaitGroup
			for n := range clients {
				token := tokenOf(t, id, otherKey(), fmt.Sprint(n))
				ready.Add(1)
				go func() {
					ready.Done()
					_, err := verify(v, token)
					results <- err
				}()
			}
			ready.Wait()
			close(release)
			for range clients {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			if n := i.asked.Load(); n != 2 {
				t.Errorf("asked %d times, want 2", n)
			}
		})
	}
}

// Promise: a key that the issuer withdraws is not honoured any more, not even for tokens that are remembered; tokens
// of the keys that stay are not touched.
func TestWithdrawnKey(t *testing.T) {
	c, i := newClock(), newIssuer(t)
	staying, leaving := jwk(p256Key(), "kid", "staying"), jwk(otherKey(), "kid", "leaving")
	i.publish(staying, leaving)
	j := newTestJWKS(t, c, i.URL)
	v := newVerifier(t, VerifierOptions{Keys: j})
	good, bad := tokenOf(t, "staying", p256Key(), "u"), tokenOf(t, "leaving", otherKey(), "u")
	before, err := verify(v, good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(v, bad); err != nil {
		t.Fatal(err)
	}
	i.publish(staying, jwk(p256Key(), "kid", "another"))
	if err := j.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = verify(v, bad)
	wantReason(t, err, ReasonKeyUnknown)
	after, err := verify(v, good)
	if err != nil || after != before {
		t.Errorf("the token of a key that stayed was forgotten: %v", err)
	}
	if n := v.Remembered(); n != 1 {
		t.Errorf("%d tokens remembered, want 1", n)
	}
	// The same keys in another order are no change; an issuer that lists none has withdrawn all.
	set := j.Keys()
	i.publish(jwk(p256Key(), "kid", "another"), staying)
	if err := j.Refresh(t.Context()); err != nil || j.Keys() != set {
		t.Errorf("the order of keys changed the set: %v", err)
	}
	i.publish()
	if err := j.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = verify(v, good)
	wantReason(t, err, ReasonKeyUnknown)
}

// Promise: whatever an issuer answers instead of a key set, the keys known stay, and nothing is read without bound.
func TestBadKeySets(t *testing.T) {
	big := strings.Repeat(" ", 10<<20)
	// Compressed beforehand: with the race detector that takes seconds on a busy machine, and the fetch waits for 5 s only.
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	_, _ = z.Write([]byte(big))
	_ = z.Close()
	many := make([]map[string]any, maxKeys+1)
	for n := range many {
		many[n] = jwk(p256Key(), "kid", fmt.Sprint(n))
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"10 MB, announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			_, _ = w.Write([]byte(big))
		}, "10485760 bytes"},
		{"10 MB, not announced", func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = w.Write([]byte(big))
		}, "more than 1048576 bytes"},
		{"10 MB in few compressed bytes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(small.Bytes())
		}, "more than 1048576 bytes"},
		{"a loop of redirects", redirect("/"), "redirects"},
		{"a redirect to another scheme", redirect("file:///etc/passwd"), "redirect from http"},
		{"a redirect with a password", redirect("http://user:secret@127.0.0.1/"), "user name"},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "404"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "204"},
		{"nothing", text(""), "not a JSON Web Key Set"},
		{"garbage", text("\x00\x01"), "not a JSON Web Key Set"},
		{"a login page", text("<html>"), "not a JSON Web Key Set"},
		{"an array", text("[]"), "not a JSON Web Key Set"},
		{"null", text("null"), `no "keys"`},
		{"no keys", text("{}"), `no "keys"`},
		{"keys null", text(`{"keys":null}`), `no "keys"`},
		{"keys an object", text(`{"keys":{}}`), "not a JSON Web Key Set"},
		{"cut off", text(keySetJSON(jwk(p256Key()))[:50]), "not a JSON Web Key Set"},
		{"too many keys", text(keySetJSON(many...)), "257 keys"},
		{"the connection breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, i := newClock(), newIssuer(t)
			i.publish(jwk(p256Key(), "kid", "k"))
			j := newTestJWKS(t, c, i.URL)
			v := newVerifier(t, VerifierOptions{Keys: j, Remember: -1})
			if _, err := verify(v, tokenOf(t, "k", p256Key(), "u")); err != nil {
				t.Fatal(err)
			}
			i.answer(row.answer)
			c.advance(time.Hour)
			err := j.Refresh(t.Context())
			if !errors.Is(err, ErrKeysUnavailable) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, row.want)
			}
			if n := i.asked.Load(); n > 1+1+maxRedirects {
				t.Errorf("asked %d times", n)
			}
			if _, err := verify(v, tokenOf(t, "k", p256Key(), "u")); err != nil {
				t.Errorf("the known key: %v", err)
			}
		})
	}
}

// Promise: as many redirects as are allowed are followed.
func TestRedirects(t *testing.T) {
	c, i := newClock(), newIssuer(t)
	i.answer(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) <= maxRedirects {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write([]byte(keySetJSON(jwk(p256Key(), "kid", "k"))))
	})
	if err := newTestJWKS(t, c, i.URL).Refresh(t.Context()); err != nil {
		t.Error(err)
	}
}

// Promise: a redirect never leads from https to http.
func TestRedirectToPlainHTTP(t *testing.T) {
	i := newIssuer(t)
	i.publish(jwk(p256Key(), "kid", "k"))
	secure := httptest.NewTLSServer(http.RedirectHandler(i.URL, http.StatusFound))
	defer secure.Close()
	j, err := NewJWKS(JWKSOptions{URL: secure.URL, Transport: secure.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Refresh(t.Context()); !errors.Is(err, ErrKeysUnavailable) || i.asked.Load() != 0 {
		t.Errorf("got %v, the plain server was asked %d times", err, i.asked.Load())
	}
}

// Promise: who leaves does not take the fetch along for which others wait.
func TestWaiterLeaves(t *testing.T) {
	c, i := newClock(), newIssuer(t)
	release := make(chan struct{})
	document := keySetJSON(jwk(p256Key(), "kid", "k"))
	i.answer(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write([]byte(document))
	})
	v := newVerifier(t, VerifierOptions{Keys: newTestJWKS(t, c, i.URL)})
	ctx, cancel := context.WithCancel(t.Context())
	token := tokenOf(t, "k", p256Key(), "u")
	left, stayed := make(chan error), make(chan error)
	go func() {
		_, err := v.Verify(ctx, token, start)
		left <- err
	}()
	go func() {
		_, err := verify(v, token)
		stayed <- err
	}()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || errors.Is(err, ErrRefused) {
		t.Errorf("who left: %v", err)
	}
	close(release)
	if err := <-stayed; err != nil {
		t.Errorf("who stayed: %v", err)
	}
}

// Promise: an address by which keys could be changed on the way, or that holds a secret, is refused at once.
func TestJWKSOptions(t *testing.T) {
	for _, row := range []struct {
		options JWKSOptions
		ok      bool
	}{
		{JWKSOptions{URL: "https://id.example.com/jwks"}, true},
		{JWKSOptions{URL: "http://127.0.0.1:8080/jwks"}, true},
		{JWKSOptions{URL: "http://[::1]/jwks"}, true},
		{JWKSOptions{URL: "http://localhost/jwks"}, true},
		{JWKSOptions{URL: "http://keycloak:8080/jwks", AllowHTTP: true}, true},
		{JWKSOptions{URL: "http://keycloak:8080/jwks"}, false},
		{JWKSOptions{URL: "http://localhost.example.com/"}, false},
		{JWKSOptions{URL: ""}, false},
		{JWKSOptions{URL: "id.example.com/jwks"}, false},
		{JWKSOptions{URL: "file:///etc/keys"}, false},
		{JWKSOptions{URL: "ftp://example.com/"}, false},
		{JWKSOptions{URL: "https://user:secret@example.com/"}, false},
		{JWKSOptions{URL: "https://example.com/#keys"}, false},
		{JWKSOptions{URL: "https:///jwks"}, false},
		{JWKSOptions{URL: "https://exa mple.com/"}, false},
		{JWKSOptions{URL: "https://example.com/", Interval: time.Millisecond}, false},
		{JWKSOptions{URL: "https://example.com/", MinInterval: -1}, false},
		{JWKSOptions{URL: "https://example.com/", Timeout: -1}, false},
	} {
		_, err := NewJWKS(row.options)
		if (err == nil) != row.ok {
			t.Errorf("%+v: %v", row.options, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	a := JWKSOptions{URL: "https://a.example"}
	b := JWKSOptions{URL: "https://a.example", KeepFor: time.Hour}
	if a.Identity() == b.Identity() || a.Identity() != (JWKSOptions{URL: "https://a.example", Now: time.Now}).Identity() {
		t.Error("Identity does not tell configurations apart as it should")
	}
}
