package credential

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func places(t testing.TB, texts ...string) []Place {
	t.Helper()
	var list []Place
	for _, text := range texts {
		p, err := ParsePlace(strings.Fields(text)...)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func extractor(t testing.TB, texts ...string) *Extractor {
	t.Helper()
	x, err := NewExtractor(places(t, texts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// request builds one from a target and header lines "Name: value".
func request(target string, lines ...string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// Promise: a place is read as the configuration writes it, and written the same way.
func TestParsePlace(t *testing.T) {
	for _, text := range []string{"header", "header X-Auth-Token", "cookie session", "query access_token", "subprotocol"} {
		p, err := ParsePlace(strings.Fields(text)...)
		if err != nil || p.String() != text {
			t.Errorf("%q: %q, %v", text, p, err)
		}
	}
	if p := places(t, "header AUTHORIZATION")[0]; p != Authorization {
		t.Errorf("got %v", p)
	}
	for _, bad := range []string{"", "cookie", "query", "body", "subprotocol x", "cookie a=b", "header a:b", "query a b"} {
		if p, err := ParsePlace(strings.Fields(bad)...); err == nil {
			t.Errorf("%q was read as %v", bad, p)
		}
	}
	if _, err := NewExtractor(places(t, "cookie a", "cookie a")...); err == nil {
		t.Error("one place twice passed")
	}
	if _, err := NewExtractor(Place{}); err == nil {
		t.Error("an empty place passed")
	}
}

// Promise: a token is found in each place, in each spelling that the RFCs allow; none is none; two are refused.
func TestExtract(t *testing.T) {
	all := []string{"header", "cookie jwt", "query access_token", "subprotocol"}
	k8s := func(name, token string) string {
		return "base64url.bearer.authorization." + name + "." + base64.RawURLEncoding.EncodeToString([]byte(token))
	}
	for _, row := range []struct {
		name   string
		places []string
		target string
		lines  []string
		token  string
		from   string
		want   Reason
	}{
		{name: "nothing", places: all, target: "/"},
		{"bearer", nil, "/", []string{"Authorization: Bearer a.b.c"}, "a.b.c", "header", ""},
		{"BEARER", nil, "/", []string{"Authorization: BEARER  a.b.c "}, "a.b.c", "header", ""},
		{"an API key is none", nil, "/", []string{"Authorization: Bearer tg_dev_x"}, "", "", ""},
		{"Basic is none", nil, "/", []string{"Authorization: Basic YTpi"}, "", "", ""},
		{"a scheme that begins like it", nil, "/", []string{"Authorization: Bearers a.b.c"}, "", "", ""},
		{"an empty header", nil, "/", []string{"Authorization: "}, "", "", ""},
		{"Bearer without a token", nil, "/", []string{"Authorization: Bearer"}, "", "", ReasonMalformed},
		{"Bearer and a space", nil, "/", []string{"Authorization: Bearer "}, "", "", ReasonMalformed},
		{"two words after it", nil, "/", []string{"Authorization: Bearer a b"}, "a b", "header", ""},
		{"a comma after it", nil, "/", []string{"Authorization: Bearer a.b.c, Basic x"}, "a.b.c, Basic x", "header", ""},
		{"a tab after it", nil, "/", []string{"Authorization: Bearer\ta.b.c"}, "\ta.b.c", "header", ""},
		{"two headers", nil, "/", []string{"Authorization: Bearer a.b.c", "Authorization: Bearer a.b.c"}, "", "", ReasonMalformed},
		{"two schemes", nil, "/", []string{"Authorization: Basic x", "Authorization: Bearer a.b.c"}, "", "", ReasonMalformed},

		{"own header", []string{"header X-Jwt"}, "/", []string{"X-Jwt: a.b.c", "Authorization: Bearer other"}, "a.b.c", "header X-Jwt", ""},
		{"own header with Bearer", []string{"header X-Jwt"}, "/", []string{"X-Jwt: bearer a.b.c"}, "a.b.c", "header X-Jwt", ""},
		{"own header empty", []string{"header X-Jwt"}, "/", []string{"X-Jwt: "}, "", "", ReasonMalformed},
		{"own header twice", []string{"header X-Jwt"}, "/", []string{"X-Jwt: a", "X-Jwt: a"}, "", "", ReasonMalformed},

		{"cookie", []string{"cookie jwt"}, "/", []string{"Cookie: a=1; jwt=a.b.c; b=2"}, "a.b.c", "cookie jwt", ""},
		{"cookie in quotes", []string{"cookie jwt"}, "/", []string{`Cookie: jwt="a.b.c"`}, "a.b.c", "cookie jwt", ""},
		{"cookie in a second line", []string{"cookie jwt"}, "/", []string{"Cookie: a=1", "Cookie: jwt=a.b.c"}, "a.b.c", "cookie jwt", ""},
		{"cookie without spaces", []string{"cookie jwt"}, "/", []string{"Cookie: a=1;jwt=a.b.c;b"}, "a.b.c", "cookie jwt", ""},
		{"cookie twice the same", []string{"cookie jwt"}, "/", []string{"Cookie: jwt=a.b.c; jwt=a.b.c"}, "a.b.c", "cookie jwt", ""},
		{"cookie twice", []string{"cookie jwt"}, "/", []string{"Cookie: jwt=a.b.c; jwt=d.e.f"}, "", "", ReasonConflict},
		{"cookie twice in two lines", []string{"cookie jwt"}, "/", []string{"Cookie: jwt=a.b.c", "Cookie: jwt=d.e.f"}, "", "", ReasonConflict},
		{"cookie empty", []string{"cookie jwt"}, "/", []string{"Cookie: jwt="}, "", "", ""},
		{"cookie of another case", []string{"cookie jwt"}, "/", []string{"Cookie: JWT=a.b.c"}, "", "", ""},
		{"cookie whose name ends so", []string{"cookie jwt"}, "/", []string{"Cookie: xjwt=a.b.c; jwt2=x"}, "", "", ""},

		{"query", []string{"query access_token"}, "/?x=1&access_token=a.b.c&y", nil, "a.b.c", "query access_token", ""},
		{"query encoded", []string{"query access_token"}, "/?access%5Ftoken=a%2Eb.c", nil, "a.b.c", "query access_token", ""},
		{"query empty", []string{"query access_token"}, "/?access_token=&access_token", nil, "", "", ""},
		{"query of another name", []string{"query access_token"}, "/?access_token2=a&xaccess_token=b", nil, "", "", ""},
		{"query twice the same", []string{"query access_token"}, "/?access_token=a&access_token=a", nil, "a", "query access_token", ""},
		{"query twice", []string{"query access_token"}, "/?access_token=a&access%5ftoken=b", nil, "", "", ReasonConflict},
		{"query badly encoded", []string{"query access_token"}, "/?access_token=%zz", nil, "", "", ReasonMalformed},
		{"query with a space", []string{"query access_token"}, "/?access_token=a+b", nil, "a b", "query access_token", ""},

		{"subprotocol", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: chat, bearer, a.b.c"}, "a.b.c", "subprotocol", ""},
		{"subprotocol in two lines", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: Bearer", "Sec-WebSocket-Protocol: a.b.c, chat"}, "a.b.c", "subprotocol", ""},
		{"subprotocol of Kubernetes", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: " + k8s("k8s.io", "a.b.c") + ",chat"}, "a.b.c", "subprotocol", ""},
		{"subprotocol of Kubernetes with a name of one's own", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: " + k8s("tenantgate", "a.b.c")}, "a.b.c", "subprotocol", ""},
		{"subprotocols without a token", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: chat, v2.bearer"}, "", "", ""},
		{"subprotocol bearer without a token", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: chat, bearer"}, "", "", ReasonMalformed},
		{"subprotocol not base64", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.!"}, "", "", ReasonMalformed},
		{"subprotocol of base64 of nothing", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: " + k8s("k8s.io", "")}, "", "", ReasonMalformed},
		{"two tokens in subprotocols", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: bearer, a, " + k8s("k8s.io", "b")}, "", "", ReasonConflict},
		{"one token twice in subprotocols", []string{"subprotocol"}, "/", []string{"Sec-WebSocket-Protocol: bearer, a, " + k8s("k8s.io", "a")}, "a", "subprotocol", ""},

		{"the same token in two places", all, "/?access_token=a.b.c", []string{"Cookie: jwt=a.b.c"}, "a.b.c", "cookie jwt", ""},
		{"two tokens in two places", all, "/?access_token=a.b.c", []string{"Cookie: jwt=d.e.f"}, "", "", ReasonConflict},
		{"a token beside an API key", all, "/?access_token=a.b.c", []string{"Authorization: Bearer tg_dev_x"}, "a.b.c", "query access_token", ""},
		{"a place that is not configured", []string{"header"}, "/?access_token=a.b.c", nil, "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			token, from, err := extractor(t, row.places...).Extract(request(row.target, row.lines...))
			wantReason(t, err, row.want)
			if token != row.token || err == nil && from.String() != row.from {
				t.Errorf("got %q from %q, want %q from %q", token, from, row.token, row.from)
			}
		})
	}
}

// Promise: what is removed is the token, wherever and in whichever spelling it stands, and nothing else; a copy of
// the request that shares its headers' values is not changed.
func TestRemove(t *testing.T) {
	all := []string{"header", "header X-Jwt", "cookie jwt", "query access_token", "subprotocol"}
	for _, row := range []struct {
		name, target string
		lines        []string
		wantTarget   string
		wantLines    []string
	}{
		{
			"nothing there", "/p?a=1&b=%20&&c;d",
			[]string{"Authorization: Basic x", "Cookie: a=1;b=2 ; c", "Sec-WebSocket-Protocol: a,b"},
			"/p?a=1&b=%20&&c;d",
			[]string{"Authorization: Basic x", "Cookie: a=1;b=2 ; c", "Sec-WebSocket-Protocol: a,b"},
		},
		{"everywhere", "/p?a=1&access_token=x&b=2&access%5Ftoken=y", []string{
			"Authorization: bearer a.b.c", "X-Jwt: a", "Cookie: a=1; jwt=x; b=2", "Cookie: jwt=y", "Sec-WebSocket-Protocol: bearer, a.b.c, chat, base64url.bearer.authorization.k8s.io.YQ",
		}, "/p?a=1&b=2", []string{"Cookie: a=1; b=2", "Sec-WebSocket-Protocol: chat"}},
		{"nothing else there", "/p?access_token=x", []string{"Cookie: jwt=x", "Sec-WebSocket-Protocol: bearer, a"}, "/p", nil},
		{"what is malformed as well", "/p?access_token", []string{"Authorization: Bearer", "Cookie: jwt; a=1", "Sec-WebSocket-Protocol: chat, bearer"}, "/p", []string{"Cookie: a=1", "Sec-WebSocket-Protocol: chat"}},
		{"an API key stays", "/p", []string{"Authorization: Bearer tg_dev_x"}, "/p", []string{"Authorization: Bearer tg_dev_x"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := request(row.target, row.lines...)
			shared := maps.Clone(r.Header)
			before := r.Header.Clone()
			extractor(t, all...).Remove(r)
			want := request(row.wantTarget, row.wantLines...)
			if !maps.EqualFunc(r.Header, want.Header, slices.Equal[[]string]) {
				t.Errorf("headers %v, want %v", r.Header, want.Header)
			}
			if r.URL.String() != want.URL.String() {
				t.Errorf("target %s, want %s", r.URL, want.URL)
			}
			if !maps.EqualFunc(shared, before, slices.Equal[[]string]) {
				t.Errorf("a copy of the headers was changed: %v", shared)
			}
			if token, _, err := extractor(t, all...).Extract(r); token != "" || err != nil {
				t.Errorf("a token is still there: %q, %v", token, err)
			}
		})
	}
}
