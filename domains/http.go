package domains

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
)

const (
	// TokenPath is the path before the token, on the web server of a claimed name.
	TokenPath = "/.well-known/tenantgate/"
	// maxBody is how much of an answer is read, in bytes. A proof is far shorter.
	maxBody = 1024
	// maxResponseHeader bounds the header of an answer, in bytes.
	maxResponseHeader = 16 << 10
	// maxRedirects is how many redirects within the name are followed.
	maxRedirects = 3
	// maxAddresses is how many addresses of a name are tried.
	maxAddresses = 4
)

var (
	errRedirect = errors.New("it redirects elsewhere, or too often")
	errPrivate  = errors.New("the name leads to an address that is not public")
	errAddress  = errors.New("the name has no address")
)

// newClient returns the client of the HTTP check: it connects to public addresses only, unless private ones are allowed.
func (v *Verifier) newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			// A proxy would connect on our behalf, to wherever it may.
			Proxy:                  nil,
			DialContext:            v.dial,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxResponseHeader,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: v.checkRedirect,
	}
}

// checkRedirect allows redirects within the name, from http to https for instance, on the usual ports.
func (v *Verifier) checkRedirect(r *http.Request, via []*http.Request) error {
	port, usual := r.URL.Port(), false
	switch r.URL.Scheme {
	case "http":
		usual = port == "" || port == via[0].URL.Port()
	case "https":
		usual = port == "" || port == "443"
	}
	if len(via) > maxRedirects || !strings.EqualFold(r.URL.Hostname(), via[0].URL.Hostname()) || !usual || r.URL.User != nil {
		return errRedirect
	}
	return nil
}

// dial resolves a name and connects to the first of its addresses that answers, of those that are allowed.
func (v *Verifier) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := v.resolver.LookupNetIP(ctx, "ip", host+".")
	if err != nil {
		return nil, explainDNS(err)
	}
	err = errAddress
	dialer := &net.Dialer{Timeout: v.timeout, Control: v.control}
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		if !v.allowed(a) {
			err = errPrivate
			continue
		}
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// control looks once more at the address that is really connected to.
func (v *Verifier) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !v.allowed(to.Addr()) {
		return errPrivate
	}
	return nil
}

func (v *Verifier) allowed(a netip.Addr) bool { return v.allowPrivate || Public(a) }

// checkHTTP asks the web server at the name for the token. The errors are made for those who claim the name: they say
// nothing about what else answers there.
func (v *Verifier) checkHTTP(ctx context.Context, host, token string) error {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	u := url.URL{Scheme: "http", Host: host, Path: TokenPath + token}
	if v.httpPort != defaultHTTPPort {
		u.Host = net.JoinHostPort(host, strconv.Itoa(v.httpPort))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return errors.New("the name makes no URL")
	}
	r.Header.Set("User-Agent", "Tenantgate domain verification")
	resp, err := v.client.Do(r)
	if err != nil {
		return explainHTTP(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers with status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return explainHTTP(err)
	}
	if !same(strings.TrimSpace(string(body)), Proof(token)) {
		return errors.New("the server answers with something else than the token")
	}
	return nil
}

// explainHTTP says what is wrong without addresses: whoever claims a name must not learn by it what is where in the
// operator's network.
func explainHTTP(err error) error {
	for _, known := range []error{errRedirect, errPrivate, errAddress} {
		if errors.Is(err, known) {
			return known
		}
	}
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("the check was ended: %w", context.Canceled)
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("the server did not answer in time")
	case errors.As(err, &certificate):
		return errors.New("the server has no valid certificate")
	}
	return errors.New("no web server could be reached")
}
