package domains

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// Resolver asks the DNS. A *net.Resolver fits. Names end with a dot, so that no search domain is added.
type Resolver interface {
	// LookupTXT returns the TXT records of a name, the strings of each joined (RFC 7208 §3.3 does likewise).
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// LookupNetIP returns the addresses of a name; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// dialTimeout bounds the connection to a resolver.
const dialTimeout = 5 * time.Second

// NewResolver returns a resolver that asks the recursive name server at an address, "IP" or "IP:port" with port 53 for a
// default. The empty address is the system's resolver.
func NewResolver(address string) (Resolver, error) {
	if address == "" {
		return net.DefaultResolver, nil
	}
	server, err := parseServer(address)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, server.String())
		},
	}, nil
}

// parseServer reads the address of a name server. A name would need another one to resolve it.
func parseServer(address string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Zone() == "" {
		return netip.AddrPortFrom(ip, 53), nil
	}
	server, err := netip.ParseAddrPort(address)
	if err != nil || server.Port() == 0 || server.Addr().Zone() != "" {
		return server, errors.New("a resolver must be an IP address, with a port if that is not 53: 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]:53")
	}
	return server, nil
}
