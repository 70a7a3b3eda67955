package caddymodule

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// ownedPrefixes are the name spaces that belong to the gateway whole: whatever an upstream sees in them, the gateway
// has put there. Folded as by foldHeader.
var ownedPrefixes = []string{"x-tenant-", "x-environment-"}

// ownedHeaders decides which header fields of a request only the gateway may set. CGI, FastCGI, PHP and WSGI fold "-",
// "_" and (PHP) "." in names onto one variable, and some of their servers whatever else is neither a letter nor a digit
// (RFC 3875 §4.1.18 leaves it open), so all these spellings are one name here.
type ownedHeaders struct {
	prefixes []string
	names    []string
	// first tells, by its first byte, that a name cannot be one of them: most requests have no header with an X.
	first [256]bool
}

// newOwnedHeaders returns the set of the default names and of those in list.
func newOwnedHeaders(list []injection) *ownedHeaders {
	o := &ownedHeaders{prefixes: ownedPrefixes}
	add := func(name string) {
		if name = foldHeader(name); !o.contains(name) {
			o.names = append(o.names, name)
			o.begin(name[0])
		}
	}
	for _, prefix := range o.prefixes {
		o.begin(prefix[0])
	}
	for _, name := range factNames {
		add(name)
	}
	for _, in := range list {
		add(in.key)
	}
	return o
}

// begin notes that a name begins with the folded byte c.
func (o *ownedHeaders) begin(c byte) {
	for i := range o.first {
		if foldByte[i] == c {
			o.first[i] = true
		}
	}
}

// contains reports whether the gateway owns the header field name, in any spelling.
func (o *ownedHeaders) contains(name string) bool {
	return name != "" && o.first[name[0]] && o.compare(name)
}

func (o *ownedHeaders) compare(name string) bool {
	for _, p := range o.prefixes {
		if len(name) > len(p) && foldedEqual(name[:len(p)], p) {
			return true
		}
	}
	for _, n := range o.names {
		if len(name) == len(n) && foldedEqual(name, n) {
			return true
		}
	}
	return false
}

// strip removes what the gateway owns from the request: header fields, the same names in Connection (with which a
// client could make the proxy drop the injected fields as hop-by-hop, RFC 9110 §7.6.1), trailer fields, and upgrades that
// would carry further requests past it.
func (o *ownedHeaders) strip(r *http.Request) { o.stripInto(r, nil) }

// stripInto is strip that also copies the header fields that remain into larger, unless that is nil. It reports false
// when they are not all there: of a field only a part was removed. upgrade says that there was an Upgrade.
func (o *ownedHeaders) stripInto(r *http.Request, larger http.Header) (whole, upgrade bool) {
	connection := false
	for name, values := range r.Header {
		switch {
		case o.contains(name):
			delete(r.Header, name)
			continue
		case name == "Connection":
			connection = true
		case name == "Upgrade":
			upgrade = true
		}
		if larger != nil {
			larger[name] = values
		}
	}
	whole = true
	if connection {
		whole = !o.stripConnection(r.Header)
	}
	if upgrade {
		whole = !stripUpgrade(r.Header) && whole
	}
	if len(r.Trailer) != 0 {
		o.stripTrailer(r)
	}
	return whole, upgrade
}

// stripConnection removes owned names from the Connection header, and reports whether there were any. The common values
// (close, keep-alive, Upgrade) cost no allocation.
func (o *ownedHeaders) stripConnection(h http.Header) (changed bool) {
	values := h["Connection"]
	if !slices.ContainsFunc(values, func(v string) bool {
		if v == "keep-alive" { // the usual one, whose name no header of the gateway's can have
			return false
		}
		for token := range strings.SplitSeq(v, ",") {
			if o.contains(trimOWS(token)) {
				return true
			}
		}
		return false
	}) {
		return false
	}
	var kept []string
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			if token = trimOWS(token); token != "" && !o.contains(token) {
				kept = append(kept, token)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return true
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
	return true
}

// stripTrailer removes owned names from the announced trailers, and again when the body has been read: only then are
// the trailers that really came known, announced or not.
func (o *ownedHeaders) stripTrailer(r *http.Request) {
	trailer := r.Trailer
	o.stripFields(trailer)
	if r.Body != nil {
		r.Body = &trailerStripper{ReadCloser: r.Body, trailer: trailer, owned: o}
	}
}

func (o *ownedHeaders) stripFields(h http.Header) {
	for name := range h {
		if o.contains(name) {
			delete(h, name)
		}
	}
}

// trailerStripper is a request body that removes owned trailer fields at its end, before whoever reads it can look.
type trailerStripper struct {
	io.ReadCloser
	trailer http.Header
	owned   *ownedHeaders
}

// Read implements io.Reader.
func (b *trailerStripper) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.owned.stripFields(b.trailer)
	}
	return n, err
}

// foldByte maps the bytes of a header field name onto those of its one folded spelling.
var foldByte = func() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case c >= 'A' && c <= 'Z':
			t[i] = c + 'a' - 'A'
		case strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0: // what else a name can have, RFC 9110 §5.6.2
			t[i] = '-'
		default:
			t[i] = c
		}
	}
	return t
}()

// foldHeader returns the one spelling of a header field name that all its aliases share.
func foldHeader(name string) string {
	b := make([]byte, len(name))
	for i := range len(name) {
		b[i] = foldByte[name[i]]
	}
	return string(b)
}

// foldedEqual reports whether name folds to folded; both have the same length.
func foldedEqual(name, folded string) bool {
	for i := range len(folded) {
		if foldByte[name[i]] != folded[i] {
			return false
		}
	}
	return true
}

// trimOWS trims optional whitespace (RFC 9110 §5.6.3).
func trimOWS(s string) string { return strings.Trim(s, " \t") }
