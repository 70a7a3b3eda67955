package credential

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// placeKind is a kind of place in a request that can hold a token.
type placeKind uint8

const (
	placeHeader placeKind = iota + 1
	placeCookie
	placeQuery
	placeSubprotocol
)

// Place is a place in a request that can hold a token.
type Place struct {
	kind placeKind
	name string
}

// The fixed places.
var (
	// Authorization is the header of that name with the scheme Bearer (RFC 6750 §2.1).
	Authorization = Place{kind: placeHeader, name: "Authorization"}
	// Subprotocol is Sec-WebSocket-Protocol (RFC 6455 §11.3.4), because browsers can set no other header on a
	// WebSocket: the word "bearer" and after it the token, or one word "base64url.bearer.authorization.NAME.TOKEN"
	// as Kubernetes takes it, with any NAME and the token in base64url once more.
	Subprotocol = Place{kind: placeSubprotocol, name: "Sec-WebSocket-Protocol"}
)

// ParsePlace reads a place from its words in a configuration: "header" (which is [Authorization]), "header NAME",
// "cookie NAME", "query NAME", "subprotocol".
func ParsePlace(words ...string) (Place, error) {
	if len(words) == 0 || len(words) > 2 {
		return Place{}, errors.New("a token is in: header [NAME], cookie NAME, query NAME, or subprotocol")
	}
	name := ""
	if len(words) == 2 {
		if name = words[1]; !isToken(name) {
			return Place{}, fmt.Errorf("%q is not the name of a %s", name, words[0])
		}
	}
	switch {
	case words[0] == "header" && name == "":
		return Authorization, nil
	case words[0] == "header":
		return Place{kind: placeHeader, name: textproto.CanonicalMIMEHeaderKey(name)}, nil
	case words[0] == "cookie" && name != "":
		return Place{kind: placeCookie, name: name}, nil
	case words[0] == "query" && name != "":
		return Place{kind: placeQuery, name: name}, nil
	case words[0] == "subprotocol" && name == "":
		return Subprotocol, nil
	}
	return Place{}, fmt.Errorf("%q is not a place for a token: header [NAME], cookie NAME, query NAME, or subprotocol", strings.Join(words, " "))
}

// String returns the place as [ParsePlace] reads it.
func (p Place) String() string {
	switch p.kind {
	case placeHeader:
		if p == Authorization {
			return "header"
		}
		return "header " + p.name
	case placeCookie:
		return "cookie " + p.name
	case placeQuery:
		return "query " + p.name
	case placeSubprotocol:
		return "subprotocol"
	}
	return ""
}

// Extractor takes the token out of a request.
type Extractor struct {
	places []Place
}

// NewExtractor returns the extractor that looks in these places, in this order. Default: [Authorization].
func NewExtractor(places ...Place) (*Extractor, error) {
	if len(places) == 0 {
		places = []Place{Authorization}
	}
	for i, p := range places {
		if p.kind == 0 {
			return nil, errors.New("an empty place for a token")
		}
		for _, other := range places[:i] {
			if p == other {
				return nil, fmt.Errorf("the place %q is given twice", p)
			}
		}
	}
	return &Extractor{places: append([]Place(nil), places...)}, nil
}

// Extract returns the token and the first place that it is in; "" when the request has none. A request with two
// different tokens is refused: whoever looks elsewhere would see another identity. An API key in [Authorization] is
// nothing here, see [KeyExtractor]. What is returned may have any form: [Verifier.Verify] judges that. Nothing is
// allocated unless a value is encoded.
func (x *Extractor) Extract(r *http.Request) (token string, from Place, err error) {
	for _, p := range x.places {
		found, err := p.find(r)
		switch {
		case err != nil:
			return "", p, err
		case found == "":
		case token == "":
			token, from = found, p
		case token != found:
			return "", p, refuse(ReasonConflict, "two different tokens: in %s and in %s", from, p)
		}
	}
	return token, from, nil
}

// Remove takes the token out of all the places of x, so that it is not forwarded.
func (x *Extractor) Remove(r *http.Request) {
	for _, p := range x.places {
		switch p.kind {
		case placeHeader:
			if p == Authorization {
				removeBearer(r.Header, false)
			} else {
				r.Header.Del(p.name)
			}
		case placeCookie:
			RemoveCookie(r.Header, p.name)
		case placeQuery:
			removeQuery(r, p.name)
		case placeSubprotocol:
			removeSubprotocol(r.Header)
		}
	}
}

func (p Place) find(r *http.Request) (string, error) {
	switch p.kind {
	case placeHeader:
		if p == Authorization {
			return bearer(r.Header, false)
		}
		return plainHeader(r.Header, p.name)
	case placeCookie:
		return findCookie(r.Header, p.name)
	case placeQuery:
		return findQuery(r, p.name)
	case placeSubprotocol:
		return findSubprotocol(r.Header)
	}
	return "", nil
}

// isToken reports whether s is a token of RFC 9110 §5.6.2, as the names of headers and cookies are.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
