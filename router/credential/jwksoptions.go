package credential

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The defaults of [JWKSOptions].
const (
	DefaultJWKSInterval    = 15 * time.Minute
	DefaultJWKSMinInterval = 10 * time.Second
	DefaultJWKSTimeout     = 5 * time.Second
	DefaultJWKSKeepFor     = 7 * 24 * time.Hour
)

// JWKSOptions configure a [JWKS].
type JWKSOptions struct {
	// URL is where the issuer publishes its keys (RFC 7517 §5). It must be https unless the host is this machine, or
	// AllowHTTP is set: whoever can change the answer can sign tokens.
	URL string
	// AllowHTTP accepts a URL of http, for an issuer in the same private network.
	AllowHTTP bool
	// Interval is how often the keys are fetched anew in the background. Default: [DefaultJWKSInterval].
	Interval time.Duration
	// MinInterval is the least time between two fetches that tokens cause by naming a key that is not known, and the
	// longest between two attempts while the issuer fails. Default: [DefaultJWKSMinInterval].
	MinInterval time.Duration
	// Timeout is for one fetch, from connecting to the last byte, and so for how long a token can wait for keys.
	// Default: [DefaultJWKSTimeout].
	Timeout time.Duration
	// KeepFor is how long keys are honoured after the issuer last answered. Default: [DefaultJWKSKeepFor]; negative:
	// for ever.
	KeepFor time.Duration
	// Transport carries the requests. Default: one of its own, with the environment's proxy.
	Transport http.RoundTripper
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger is told when the issuer stops and starts answering, and of keys that change or cannot be used.
	// Default: no log.
	Logger *slog.Logger
}

// NewJWKS checks the options. It does no I/O: an issuer that is down does not keep the gateway from starting.
func NewJWKS(o JWKSOptions) (*JWKS, error) {
	if err := checkJWKSURL(o.URL, o.AllowHTTP); err != nil {
		return nil, err
	}
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&o.Interval, DefaultJWKSInterval},
		{&o.MinInterval, DefaultJWKSMinInterval},
		{&o.Timeout, DefaultJWKSTimeout},
		{&o.KeepFor, DefaultJWKSKeepFor},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if o.Interval < time.Second || o.MinInterval < time.Second || o.Timeout < 0 {
		return nil, errors.New("the intervals between fetches must be a second at least, the timeout positive")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &JWKS{options: o, client: newJWKSClient(o.Transport), log: o.Logger.With("jwks", redactURL(o.URL))}, nil
}

// Identity tells one configuration from another, so that a reload can go on with the keys it has: an issuer that is
// down at that moment must not take them away. It leaves out Transport, Now and Logger.
func (o JWKSOptions) Identity() string {
	return fmt.Sprintf("%s|%t|%s|%s|%s|%s", o.URL, o.AllowHTTP, o.Interval, o.MinInterval, o.Timeout, o.KeepFor)
}

func checkJWKSURL(text string, allowHTTP bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("the address of the key set is not a URL of https")
	case u.User != nil:
		return errors.New("the address of the key set holds a user name or password: a key set is public")
	case u.Fragment != "":
		return errors.New("the address of the key set has a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("the address of the key set is of %s, not https", shown(u.Scheme))
	case allowHTTP || isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("the address of the key set is of http, by which anybody on the way can change the keys: use https, or allow http expressly")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// redactURL returns what of a URL may stand in a log: not its query, which may hold a key.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
