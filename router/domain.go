package router

import (
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// domainSource yields the host name itself, which the registry may know as a tenant's own domain.
type domainSource struct{}

// NewDomain returns the source "domain". It yields the host name softly: one that the registry does not know counts as
// nothing. IP addresses and names of one label ("localhost") are nobody's domain and yield nothing.
func NewDomain() (Source, error) { return domainSource{}, nil }

// Name implements [Source].
func (domainSource) Name() string { return "domain" }

// ReadsHost implements [HostSource].
func (domainSource) ReadsHost() {}

// Identify implements [Source].
func (s domainSource) Identify(r *Request) (y Yield, err error) {
	err = s.identify(r, &y)
	return y, err
}

// identify is Identify for [identifyInto].
func (domainSource) identify(r *Request, y *Yield) error {
	if canBeDomain(r.Host) {
		y.Reference, y.Soft = registry.Reference{Kind: registry.KindHost, Key: r.Host}, true
	}
	return nil
}

// canBeDomain reports whether a normalised host can be in the registry.
func canBeDomain(host string) bool {
	return host != "" && host[0] != '[' && strings.IndexByte(host, '.') >= 0 && !endsInNumber(host)
}

// endsInNumber reports whether a normalised host is an IPv4 address or one of its old spellings ("127.1", "0x7f.1"):
// the ends-in-a-number check of the WHATWG URL standard. No top-level domain is a number (RFC 3696 §2).
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits := "0123456789"
	if rest, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = rest, "0123456789abcdef"
	}
	return strings.Trim(last, digits) == ""
}
