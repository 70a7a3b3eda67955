package registry

import (
	"net/netip"
	"strings"
)

// AccessControl restricts who may reach a tenant.
type AccessControl struct {
	// IPWhitelist lists addresses and CIDR prefixes, IPv4 and IPv6; empty allows all.
	IPWhitelist []string `json:"ipWhitelist,omitempty"`
	// RequireMFA admits only users who signed in with more than one factor.
	RequireMFA bool `json:"requireMFA,omitempty"`
	// RequireSSO admits only users who signed in with the tenant's identity provider.
	RequireSSO bool `json:"requireSSO,omitempty"`
	// SessionTimeout is the longest age of a sign-in, in seconds; 0 means no limit.
	SessionTimeout int64 `json:"sessionTimeout,omitempty"`

	ranges []netip.Prefix // of IPWhitelist; nil until sealed
}

// AllowsAddress reports whether the IP allow list admits a client of that address. Without a list all are; with one, an
// address that is not known is not. An IPv4 address in IPv6 form (RFC 4291 §2.5.5.2) counts as what it is, a zone does
// not count, and an entry that nobody can read admits nobody.
func (a *AccessControl) AllowsAddress(client netip.Addr) bool {
	if len(a.IPWhitelist) == 0 {
		return true
	}
	if !client.IsValid() {
		return false
	}
	client = client.Unmap().WithZone("")
	ranges := a.ranges
	if ranges == nil {
		ranges = parseRanges(a.IPWhitelist)
	}
	for _, r := range ranges {
		if r.Contains(client) {
			return true
		}
	}
	return false
}

func (a *AccessControl) seal() { a.ranges = parseRanges(a.IPWhitelist) }

// parseRanges reads addresses and prefixes, and leaves out what is neither. It returns nil for an empty list only.
func parseRanges(list []string) []netip.Prefix {
	if len(list) == 0 {
		return nil
	}
	ranges := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		if !strings.Contains(text, "/") {
			if addr, err := netip.ParseAddr(text); err == nil {
				addr = addr.Unmap().WithZone("")
				ranges = append(ranges, netip.PrefixFrom(addr, addr.BitLen()))
			}
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			continue
		}
		if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		ranges = append(ranges, p.Masked())
	}
	return ranges
}
