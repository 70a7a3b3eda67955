package domains

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// DefaultTimeout bounds one method's part of a check.
	DefaultTimeout  = 10 * time.Second
	defaultHTTPPort = 80
)

// Options are the options of a [Verifier]. The zero value is usable.
type Options struct {
	// Methods are tried in this order until one succeeds: DomainDNS and DomainHTTP. Default: both, DNS first.
	Methods []registry.DomainMethod
	// Resolver asks the DNS. Default: the system's.
	Resolver Resolver
	// Timeout bounds each method's part of a check. Default: 10s.
	Timeout time.Duration
	// HTTPPort is the port of web servers. Default: 80.
	HTTPPort int
	// AllowPrivate lets the HTTP check connect to addresses that are not public: for gateways whose customers are in the
	// same private network, and for tests. Default: false.
	AllowPrivate bool
}

// Verifier looks for the proof of claims. It can be used by several goroutines.
type Verifier struct {
	methods      []registry.DomainMethod
	resolver     Resolver
	timeout      time.Duration
	httpPort     int
	allowPrivate bool
	client       *http.Client
}

// NewVerifier checks the options and returns a verifier.
func NewVerifier(o Options) (*Verifier, error) {
	v := &Verifier{
		methods: o.Methods, resolver: o.Resolver, timeout: o.Timeout, httpPort: o.HTTPPort, allowPrivate: o.AllowPrivate,
	}
	if v.methods == nil {
		v.methods = []registry.DomainMethod{registry.DomainDNS, registry.DomainHTTP}
	}
	if len(v.methods) == 0 {
		return nil, errors.New("domains: a verifier needs at least one method")
	}
	for i, m := range v.methods {
		if m != registry.DomainDNS && m != registry.DomainHTTP || slices.Contains(v.methods[:i], m) {
			return nil, fmt.Errorf("domains: the methods must be %s and %s, each at most once", registry.DomainDNS, registry.DomainHTTP)
		}
	}
	if v.resolver == nil {
		v.resolver = net.DefaultResolver
	}
	if v.timeout == 0 {
		v.timeout = DefaultTimeout
	}
	if v.httpPort == 0 {
		v.httpPort = defaultHTTPPort
	}
	if v.timeout < 0 || v.httpPort < 0 || v.httpPort > 65535 {
		return nil, errors.New("domains: the timeout must be positive, and the port from 1 to 65535")
	}
	v.client = v.newClient()
	return v, nil
}

// Check looks for the proof of a claim, and returns by which method it was found. Otherwise the error says for each
// method what was found instead, in words for those who claim the name; it wraps ctx's error when that has ended.
func (v *Verifier) Check(ctx context.Context, host, token string) (registry.DomainMethod, error) {
	var errs []error
	for _, m := range v.methods {
		check, name := v.checkDNS, "DNS: "
		if m == registry.DomainHTTP {
			check, name = v.checkHTTP, "HTTP: "
		}
		err := check(ctx, host, token)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		errs = append(errs, fmt.Errorf("%s%w", name, err))
	}
	return "", joined(errs)
}

// longest returns how long a check can take at most.
func (v *Verifier) longest() time.Duration { return time.Duration(len(v.methods)) * v.timeout }

// joined puts several errors on one line.
func joined(errs []error) error {
	text := ""
	for i, err := range errs {
		if i > 0 {
			text += "; "
		}
		text += err.Error()
	}
	return errors.New(text)
}

// same compares what was found with what was wanted, in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
