package adminapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// maxHeader is the longest value that is taken from a header of a request, in bytes.
const maxHeader = 255

// invalid is a mistake in a value of the request; place is that of the value.
func invalid(place, format string, args ...any) error {
	return &registry.FieldError{Field: place, Code: registry.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// headerText returns a header's only value; "" where there is none.
func headerText(r *http.Request, name string) (string, error) {
	values := r.Header.Values(name)
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", invalid(name, "is given more than once")
	case values[0] == "":
		return "", invalid(name, "is empty")
	case len(values[0]) > maxHeader:
		return "", &registry.FieldError{Field: name, Code: registry.CodeTooLong, Message: fmt.Sprintf("must not be longer than %d bytes", maxHeader)}
	case !utf8.ValidString(values[0]) || strings.ContainsFunc(values[0], func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "", invalid(name, "must be text")
	}
	return values[0], nil
}

// requestID returns the client's X-Request-Id where that is short and plain, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.:/+=", c)
	}
	if id == "" || len(id) > maxHeader || strings.ContainsFunc(id, func(c rune) bool { return !plain(c) }) {
		return uuid.NewString()
	}
	return id
}

// certificateActor is the default of [Options.Actor].
func certificateActor(r *http.Request) (id, kind string, ok bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return "", "", false
	}
	subject := r.TLS.VerifiedChains[0][0].Subject.String()
	if subject == "" {
		subject = "a certificate without a subject"
	}
	for utf8.RuneCountInString(subject) > 255 {
		_, size := utf8.DecodeLastRuneInString(subject)
		subject = subject[:len(subject)-size]
	}
	return strings.ToValidUTF8(subject, "?"), "certificate", true
}

// actor says who makes a request: what the connection proves, else what the header X-Actor says, else "admin".
func (a *API) actor(r *http.Request, id string) (registry.Actor, error) {
	actor := registry.Actor{ID: "admin", Kind: "local", RequestID: id}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && net.ParseIP(host) != nil {
		actor.RemoteAddr = host
	}
	if name, kind, ok := a.options.Actor(r); ok {
		actor.ID, actor.Kind = name, kind
		return actor, nil
	}
	name, err := headerText(r, "X-Actor")
	if name != "" {
		actor.ID = name
	}
	return actor, err
}

// readBody reads a body of at most MaxBody bytes.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errLargeBody
	case err != nil:
		return nil, errBrokenBody
	case len(body) == 0:
		return nil, nil
	}
	if t := r.Header.Get("Content-Type"); t != "" {
		media, _, err := mime.ParseMediaType(t)
		if err != nil || media != "application/json" && (r.Method != http.MethodPatch || media != "application/merge-patch+json") {
			return nil, errMediaType
		}
	}
	return body, nil
}

// idempotency returns what the header Idempotency-Key says (draft-ietf-httpapi-idempotency-key-header); nil where there
// is none. The key stands for this very request: its method, path and body.
func (c *call) idempotency() (*registry.Idempotency, error) { return c.idempotencyOf(c.body) }

// idempotencyOf is idempotency with what counts as the body.
func (c *call) idempotencyOf(body []byte) (*registry.Idempotency, error) {
	key, err := headerText(c.Request, "Idempotency-Key")
	if err != nil || key == "" {
		return nil, err
	}
	if len(key) > 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1] // the draft's form is a string of structured fields
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s\n", c.Method, c.URL.EscapedPath()) // a hash takes everything
	_, _ = h.Write(body)
	return &registry.Idempotency{Key: key, RequestHash: hex.EncodeToString(h.Sum(nil))}, nil
}

// etag is the entity tag of a version.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// matches reports whether a list of entity tags has tag or is "*", by weak comparison (RFC 9110 §8.8.3.2).
func matches(values []string, tag string) bool {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
			if item == tag || item == "*" {
				return true
			}
		}
	}
	return false
}

// ifMatch returns the version that the header If-Match demands; 0 where it demands none.
func (c *call) ifMatch() (int64, error) {
	value, err := headerText(c.Request, "If-Match")
	if err != nil || value == "" || value == "*" {
		return 0, err
	}
	inner, ok := strings.CutPrefix(value, `"`)
	inner, ok2 := strings.CutSuffix(inner, `"`)
	version, err := strconv.ParseInt(inner, 10, 64)
	switch {
	case ok && ok2 && err == nil && version > 0 && strconv.FormatInt(version, 10) == inner:
		return version, nil
	case strings.Contains(value, ","):
		return 0, invalid("If-Match", "must be a single entity tag")
	}
	return 0, errNoMatch // weak, or none that was given out: it matches nothing
}

// query are the parameters of the URL.
type query url.Values

// parseQuery reads the parameters; one that is not known is refused.
func parseQuery(raw string, known []string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid("query", "is malformed")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			return nil, &registry.FieldError{Field: short(name), Code: registry.CodeUnknownField, Message: "there is no such parameter"}
		}
	}
	return query(values), nil
}

// text returns the only value of a parameter; "" where there is none.
func (q query) text(name string) (string, error) {
	switch values := q[name]; {
	case len(values) > 1:
		return "", invalid(name, "is given more than once")
	case len(values) == 1 && values[0] == "":
		return "", invalid(name, "is empty")
	case len(values) == 1 && (len(values[0]) > 4096 || !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0)):
		return "", invalid(name, "must be text of at most 4096 bytes")
	case len(values) == 1:
		return values[0], nil
	}
	return "", nil
}

// number returns the only value of a parameter that is a whole number; none where there is none.
func (q query) number(name string, least, most, none int) (int, error) {
	text, err := q.text(name)
	if err != nil || text == "" {
		return none, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, invalid(name, "must be a number from %d to %d", least, most)
	}
	return n, nil
}

// instant returns the only value of a parameter that is a time; zero where there is none.
func (q query) instant(name string) (time.Time, error) {
	text, err := q.text(name)
	if err != nil || text == "" {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, invalid(name, "must be a time as in RFC 3339, like 2026-01-31T00:00:00Z")
	}
	return t, nil
}

// page returns what limit and cursor say.
func (q query) page() (registry.Page, error) {
	limit, err := q.number("limit", 1, MaxPage, registry.DefaultPage)
	if err != nil {
		return registry.Page{}, err
	}
	cursor, err := q.text("cursor")
	return registry.Page{Limit: limit, Cursor: cursor}, err
}

// short cuts what is repeated of a request.
func short(s string) string {
	s = strings.ToValidUTF8(s, "?")
	for len(s) > 80 {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
