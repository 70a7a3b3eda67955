package adminapi

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

func resolve(ctx context.Context, c *call) (answer, error) {
	e, err := c.explain(ctx)
	return answer{body: e}, err
}

// resolveTenant is resolve for a tenant that has to be there.
func resolveTenant(ctx context.Context, c *call) (answer, error) {
	t, err := c.Store.GetTenant(ctx, c.PathValue("tenant"))
	if err != nil {
		return answer{}, err
	}
	e, err := c.explain(ctx)
	if err != nil {
		return answer{}, err
	}
	same := e.Tenant != nil && e.Tenant.ID == t.ID.String()
	e.LeadsHere = &same
	return answer{body: e}, nil
}

// The most headers of a request that is explained, the longest of them in bytes, and the highest number of a handler.
const (
	maxExplainHeaders = 64
	maxExplainHeader  = 8192
	maxHandler        = 9999
)

// explain asks the gateway about the request that is described.
func (c *call) explain(ctx context.Context) (*Explanation, error) {
	var q ExplainRequest
	handler := int64(-1)
	if c.Method == http.MethodPost {
		err := decode(c.body, fields{
			"url": text(&q.URL), "method": text(&q.Method), "headers": texts(&q.Headers), "clientIp": text(&q.ClientIP),
			"handler": whole(&handler, 0, maxHandler),
		})
		if err != nil {
			return nil, err
		}
	} else {
		for name, to := range map[string]*string{"url": &q.URL, "method": &q.Method, "clientIp": &q.ClientIP} {
			var err error
			if *to, err = c.query.text(name); err != nil {
				return nil, err
			}
		}
		n, err := c.query.number("handler", 0, maxHandler, -1)
		if err != nil {
			return nil, err
		}
		handler, q.Headers = int64(n), c.query["header"]
		for _, h := range q.Headers {
			if name, _, _ := strings.Cut(h, ":"); isSecret(name) {
				return nil, invalid("header", "URLs are logged: send %s in the body, with POST", http.CanonicalHeaderKey(name))
			}
		}
	}
	r, err := q.request(ctx)
	if err != nil {
		return nil, err
	}
	if c.Live == nil {
		return nil, errNoGateway
	}
	return c.Live.Explain(r, int(handler))
}

// isSecret reports whether a header usually holds a secret.
func isSecret(name string) bool {
	return slices.Contains([]string{"authorization", "proxy-authorization", "cookie", "x-api-key", "sec-websocket-protocol"}, strings.ToLower(name))
}

// request makes the request that is described.
func (q *ExplainRequest) request(ctx context.Context) (*http.Request, error) {
	u, err := url.Parse(q.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "" || u.User != nil || len(q.URL) > maxExplainHeader {
		return nil, invalid("url", "must be an http or https URL with a host and without a user")
	}
	u.Fragment, u.RawFragment = "", "" // no client sends it
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, u.String(), http.NoBody)
	if err != nil || len(q.Method) > 32 {
		return nil, invalid("method", "is no HTTP method")
	}
	r.RequestURI = u.RequestURI()
	if len(q.Headers) > maxExplainHeaders {
		return nil, invalid("headers", "there must not be more than %d", maxExplainHeaders)
	}
	for _, h := range q.Headers {
		name, value, ok := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		if !ok || len(h) > maxExplainHeader || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, invalid("headers", "must be like \"Name: value\", each at most %d bytes", maxExplainHeader)
		}
		if strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	if q.ClientIP == "" {
		q.ClientIP = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(q.ClientIP)
	if err != nil {
		return nil, invalid("clientIp", "must be an IP address")
	}
	r.RemoteAddr = netip.AddrPortFrom(addr, 0).String()
	if u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{ServerName: strings.TrimSuffix(u.Hostname(), ".")} // RFC 6066 §3
	}
	return r, nil
}
