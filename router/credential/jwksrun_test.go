package credential

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// transport answers without a network, so that the clock of a synctest bubble can run.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func ok(body io.Reader) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(body)}, nil
}

// hang answers nothing until the request is given up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// slowly is a body of which a byte comes each second.
type slowly struct {
	ctx  context.Context
	body io.Reader
}

func (s slowly) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return s.body.Read(p[:1])
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func bubbleJWKS(t *testing.T, o JWKSOptions) *JWKS {
	t.Helper()
	o.URL = "https://id.example.com/jwks"
	j, err := NewJWKS(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Promise: an issuer that hangs, or that answers a byte at a time, holds a token up for no longer than the timeout,
// and tokens of known keys not at all.
func TestIssuerHangs(t *testing.T) {
	document := keySetJSON(jwk(p256Key(), "kid", "k"))
	known, unknown := tokenOf(t, "k", p256Key(), "u"), tokenOf(t, "new", otherKey(), "u")
	for name, stuck := range map[string]transport{
		"hangs": hang,
		"slow": func(r *http.Request) (*http.Response, error) {
			return ok(slowly{r.Context(), strings.NewReader(document)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var answer atomic.Pointer[transport]
				answer.Store(&stuck)
				j := bubbleJWKS(t, JWKSOptions{Transport: transport(func(r *http.Request) (*http.Response, error) { return (*answer.Load())(r) })})
				v := newVerifier(t, VerifierOptions{Keys: j, Remember: -1})
				took := func(token string, want Reason, longest time.Duration) {
					t.Helper()
					began := time.Now()
					_, err := verify(v, token)
					if ReasonOf(err) != want || time.Since(began) > longest {
						t.Errorf("%v after %s, want %q within %s", err, time.Since(began), want, longest)
					}
				}
				took(known, "keys_unavailable", DefaultJWKSTimeout)
				took(known, "keys_unavailable", 0) // known to hang: nobody waits again so soon
				healthy := transport(func(*http.Request) (*http.Response, error) { return ok(strings.NewReader(document)) })
				answer.Store(&healthy)
				time.Sleep(firstRetry)
				took(known, "", 0)
				answer.Store(&stuck)
				time.Sleep(time.Hour)
				took(known, "", 0)
				took(unknown, "keys_unavailable", DefaultJWKSTimeout)
				took(known, "", 0)
				took(unknown, "keys_unavailable", 0)
			})
		})
	}
}

// Promise: in the background the keys are fetched every interval; after failures at once more and more seldom, up to
// MinInterval; and after KeepFor without an answer the keys are not honoured any more, until there is one.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		document := keySetJSON(jwk(p256Key(), "kid", "k"))
		began := time.Now()
		var mu sync.Mutex
		var all []time.Duration
		requests := func() []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
		var down atomic.Bool
		var log bytes.Buffer
		j := bubbleJWKS(t, JWKSOptions{
			KeepFor: time.Hour,
			Logger:  slog.New(slog.NewTextHandler(&log, nil)),
			Transport: transport(func(*http.Request) (*http.Response, error) {
				mu.Lock()
				all = append(all, time.Since(began))
				mu.Unlock()
				if down.Load() {
					return nil, errors.New("connection refused")
				}
				return ok(strings.NewReader(document))
			}),
		})
		v := newVerifier(t, VerifierOptions{Keys: j})
		token := sign(t, "ES256", "k", p256Key(), with(standardClaims(), "iat", nil, "exp", time.Now().Add(24*time.Hour).Unix()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { j.Run(ctx); close(done) }()

		time.Sleep(2*DefaultJWKSInterval + time.Second)
		synctest.Wait()
		want := []time.Duration{0, DefaultJWKSInterval, 2 * DefaultJWKSInterval}
		if got := requests(); !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v", got, want)
		}
		down.Store(true)
		time.Sleep(DefaultJWKSInterval + 40*time.Second)
		synctest.Wait()
		failing := requests()[3:]
		// 1, 2, 4, 8 seconds apart, then 10.
		for n, gap := range []time.Duration{1, 2, 4, 8, 10, 10} {
			if got := failing[n+1] - failing[n]; got != gap*time.Second {
				t.Errorf("retry %d came after %s, want %s", n+1, got, gap*time.Second)
			}
		}
		if _, err := v.Verify(ctx, token, time.Now()); err != nil {
			t.Errorf("while the issuer is down: %v", err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		_, err := v.Verify(ctx, token, time.Now())
		wantReason(t, err, "keys_unavailable")
		if j.Keys() != nil {
			t.Error("the keys are still known after KeepFor")
		}
		down.Store(false)
		time.Sleep(DefaultJWKSMinInterval)
		synctest.Wait()
		if _, err := v.Verify(ctx, token, time.Now()); err != nil {
			t.Errorf("after the issuer's return: %v", err)
		}
		cancel()
		<-done
		// The log tells each turn once, and not each failure.
		for _, text := range []string{"cannot be fetched", "answers again", "no longer honoured"} {
			if strings.Count(log.String(), text) != 1 {
				t.Errorf("the log says %q %d times:\n%s", text, strings.Count(log.String(), text), log.String())
			}
		}
	})
}

// Promise: an issuer whose keys a token has fetched is not asked again by the fetching in the background that begins then,
// but after the interval.
func TestRunAfterToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var asked []time.Duration
		j := bubbleJWKS(t, JWKSOptions{Transport: transport(func(*http.Request) (*http.Response, error) {
			asked = append(asked, time.Since(began))
			return ok(strings.NewReader(keySetJSON(jwk(p256Key(), "kid", "k"))))
		})})
		v := newVerifier(t, VerifierOptions{Keys: j})
		if _, err := verify(v, tokenOf(t, "k", p256Key(), "u")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { j.Run(ctx); close(done) }()
		time.Sleep(DefaultJWKSInterval + time.Second)
		cancel()
		<-done
		if want := []time.Duration{0, DefaultJWKSInterval}; !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
	})
}

// Promise: what the log says of an issuer does not show the query of its address.
func TestLogHidesQuery(t *testing.T) {
	var log bytes.Buffer
	j, err := NewJWKS(JWKSOptions{
		URL: "https://id.example.com/jwks?api_key=s3cret", Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Transport: transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Refresh(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	if text := log.String(); !strings.Contains(text, "jwks=https://id.example.com/jwks ") || strings.Contains(text, "s3cret") {
		t.Errorf("the log says %s", text)
	}
}
