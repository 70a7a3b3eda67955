package credential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// MaxJWKS is the largest key set that is read, in bytes, after decompression.
	MaxJWKS = 1 << 20
	// maxRedirects is how many redirects a fetch follows.
	maxRedirects = 3
)

// newJWKSClient returns the client that fetches key sets. It has no timeout of its own: each fetch has a deadline.
func newJWKSClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}
}

// checkRedirect follows few redirects, and none from https to anything else.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if first := via[0].URL.Scheme; r.URL.Scheme != "https" && r.URL.Scheme != first {
		return fmt.Errorf("a redirect from %s to %s", first, shown(r.URL.Scheme))
	}
	if r.URL.User != nil {
		return errors.New("a redirect to an address with a user name")
	}
	return nil
}

// fetch returns the key set as the issuer publishes it.
func (j *JWKS) fetch(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, j.options.URL, nil)
	if err != nil {
		return nil, errors.New("the address of the key set is not a URL")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	r.Header.Set("User-Agent", "tenantgate")
	response, err := j.client.Do(r)
	if err != nil {
		// url.Error repeats the address with its query, which may hold a key.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered %d", response.StatusCode)
	}
	if response.ContentLength > MaxJWKS {
		return nil, fmt.Errorf("the key set has %d bytes: %d is the most", response.ContentLength, MaxJWKS)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, MaxJWKS+1))
	if err != nil {
		return nil, err
	}
	if len(document) > MaxJWKS {
		return nil, fmt.Errorf("the key set has more than %d bytes", MaxJWKS)
	}
	return document, nil
}
