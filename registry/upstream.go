package registry

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// maxUpstreamLength bounds the text form of an upstream, in bytes: a scheme, the longest host name, a port.
const maxUpstreamLength = 300

// Upstream is one address that serves an environment, or a pool that the gateway's configuration defines.
// Exactly one of Pool and Address is set.
type Upstream struct {
	// Pool is the name of a pool ("pool:NAME" in text form).
	Pool string `json:"pool,omitempty"`
	// Scheme is "http" or "https".
	Scheme string `json:"scheme,omitempty"`
	// Address is host:port; an IPv6 host stands in brackets.
	Address string `json:"address,omitempty"`
}

// String returns the shortest text that [ParseUpstream] reads as u: "pool:NAME", "host:port" for http, and
// "https://host:port".
func (u Upstream) String() string {
	switch {
	case u.Pool != "":
		return "pool:" + u.Pool
	case u.Scheme == "https":
		return "https://" + u.Address
	default:
		return u.Address
	}
}

// ParseUpstream reads "host:port", "http://host[:port]", "https://host[:port]" or "pool:NAME". A host is a DNS name,
// an IPv4 address, or an IPv6 address in brackets; the port is 1 to 65535 (with a scheme, by default 80 or 443). User
// info, paths, queries, wildcards, placeholders and white space are refused. Host names are made lower case.
func ParseUpstream(s string) (Upstream, error) {
	if s == "" {
		return Upstream{}, errors.New("empty upstream: want host:port, https://host or pool:NAME")
	}
	if len(s) > maxUpstreamLength {
		return Upstream{}, errors.New("upstream longer than " + strconv.Itoa(maxUpstreamLength) + " bytes")
	}
	if name, ok := strings.CutPrefix(s, "pool:"); ok {
		if !validName(name) {
			return Upstream{}, errors.New("pool name must be 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
		}
		return Upstream{Pool: name}, nil
	}
	u, port := Upstream{Scheme: "http"}, ""
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		switch strings.ToLower(scheme) {
		case "http":
			port = "80"
		case "https":
			u.Scheme, port = "https", "443"
		default:
			return Upstream{}, errors.New("upstream scheme must be http or https")
		}
		s = strings.TrimSuffix(rest, "/")
	}
	if strings.ContainsAny(s, "/?#@\\") {
		return Upstream{}, errors.New("upstream must be only a scheme, a host and a port: no path, query or user info")
	}
	host, err := splitHostPort(s, &port)
	if err != nil {
		return Upstream{}, err
	}
	if port == "" {
		return Upstream{}, errors.New("upstream without a port: want host:port, http://host or https://host")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return Upstream{}, errors.New("upstream port must be a number from 1 to 65535")
	}
	u.Address = host + ":" + port
	return u, nil
}

// splitHostPort cuts s into a checked host, an IPv6 one in brackets, and a port that replaces *port when there is one.
func splitHostPort(s string, port *string) (host string, err error) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		inner, after, closed := strings.Cut(rest, "]")
		if !closed {
			return "", errors.New("upstream IPv6 address without a closing bracket")
		}
		ip, err := netip.ParseAddr(inner)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", errors.New("upstream has no valid IPv6 address in its brackets")
		}
		if after != "" {
			if after[0] != ':' {
				return "", errors.New("upstream has text between its closing bracket and its port")
			}
			*port = after[1:]
		}
		return "[" + ip.String() + "]", nil
	}
	host, p, ok := strings.Cut(s, ":")
	if ok {
		if strings.Contains(p, ":") {
			return "", errors.New("upstream IPv6 address must stand in brackets")
		}
		*port = p
	}
	host = strings.ToLower(host)
	if !validUpstreamHost(host) {
		return "", errors.New("upstream host is neither a DNS name nor an IP address")
	}
	return host, nil
}

// validUpstreamHost reports whether host is an IPv4 address or a DNS name; "_" is allowed, since container networks
// use it in names.
func validUpstreamHost(host string) bool {
	if host == "" || len(host) > MaxHostLength {
		return false
	}
	last, letters := "", false
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			switch c := label[i]; {
			case c >= 'a' && c <= 'z' || c == '-' || c == '_':
				letters = true
			case c < '0' || c > '9':
				return false
			}
		}
		last = label
	}
	if !letters || last[0] >= '0' && last[0] <= '9' && strings.Trim(last, "0123456789") == "" {
		ip, err := netip.ParseAddr(host) // a last label of digits makes it an address (RFC 3696 §2), so it must be one
		return err == nil && ip.Is4()
	}
	return true
}

// validName reports whether s can name a plan or a pool: 1 to 63 bytes of a-z, 0-9, ".", "_" and "-", beginning with a
// letter or a digit, so that it fits a header, a log field and a Caddyfile token.
func validName(s string) bool {
	if s == "" || len(s) > MaxSlugLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}
