package wire

import (
	"net/http"
	"strconv"
	"strings"
)

// head is a response's header.
type head struct {
	proto   string
	minor   int // of the version: 0 or 1
	status  string
	code    int
	fields  http.Header
	trailer http.Header // announced

	length  string
	lengths int // how many Content-Length
	chunked bool
	close   bool // the connection serves no other request
}

const statusPrefix = "HTTP/1."

// isPrefix says whether b can be the beginning of a status line, so that nobody waits for the rest of what is none.
func isPrefix(b []byte) bool {
	n := min(len(b), len(statusPrefix))
	return string(b[:n]) == statusPrefix[:n]
}

// parse reads a header, up to the empty line, each line of which ends with CR LF and has no other LF. Names and values are
// parts of text.
func (h *head) parse(text string) error {
	*h = head{}
	end := strings.IndexByte(text, '\n')
	if err := h.parseStatus(text[:end-1]); err != nil {
		return err
	}
	fields, err := parseFields(text[end+1:])
	if err != nil {
		return err
	}
	h.fields = fields
	return h.interpret()
}

// parseStatus reads the status line (RFC 9112 §4): version, three digits, and a reason, which may be missing.
func (h *head) parseStatus(line string) error {
	const codeAt = len("HTTP/1.1 ")
	if len(line) < codeAt+3 || !strings.HasPrefix(line, statusPrefix) || line[codeAt-1] != ' ' {
		return errStatusLine
	}
	switch line[len(statusPrefix)] {
	case '0', '1':
	default:
		return errVersion
	}
	h.proto, h.minor = line[:codeAt-1], int(line[len(statusPrefix)]-'0')
	for _, c := range []byte(line[codeAt : codeAt+3]) {
		if c < '0' || c > '9' {
			return errStatusLine
		}
		h.code = 10*h.code + int(c-'0')
	}
	if h.code < 100 || len(line) > codeAt+3 && line[codeAt+3] != ' ' || !isValue(line[codeAt+3:]) {
		return errStatusLine
	}
	h.status = line[codeAt:]
	return nil
}

// maxFields bounds how many fields a header or the trailers may have: each costs much more memory than its bytes.
const maxFields = 10_000

// parseFields reads lines of fields up to the empty one (RFC 9112 §5). A line that begins with a space, which once
// continued the one before, is refused, and so are spaces in and after names.
func parseFields(text string) (http.Header, error) {
	n := strings.Count(text, "\n") - 1
	if n > maxFields {
		return nil, errHeaderSize
	}
	fields := make(http.Header, n)
	values := make([]string, n)
	for i := range n {
		end := strings.IndexByte(text, '\n')
		line := text[:end-1]
		text = text[end+1:]
		if line[0] == ' ' || line[0] == '\t' {
			return nil, errFold
		}
		colon := strings.IndexByte(line, ':')
		if colon < 0 || !isToken(line[:colon]) {
			return nil, errFieldName
		}
		name, value := line[:colon], trim(line[colon+1:])
		if !isValue(value) {
			return nil, errFieldValue
		}
		if !isCanonical(name) {
			name = http.CanonicalHeaderKey(name)
		}
		if before, ok := fields[name]; ok {
			fields[name] = append(before, value)
			continue
		}
		values[i] = value
		fields[name] = values[i : i+1 : i+1]
	}
	return fields, nil
}

// interpret finds the fields that frame the message, and takes out those that are of no use to the caller, as net/http does.
func (h *head) interpret() error {
	if v, ok := h.fields["Content-Length"]; ok {
		h.lengths, h.length = len(v), v[0]
	}
	if v, ok := h.fields["Transfer-Encoding"]; ok {
		if len(v) != 1 || !strings.EqualFold(v[0], "chunked") || h.minor == 0 {
			return errEncoding
		}
		h.chunked = true
		delete(h.fields, "Transfer-Encoding")
	}
	h.close = h.minor == 0
	for _, value := range h.fields["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			switch token = trim(token); {
			case strings.EqualFold(token, "close"):
				h.close = true
				return h.announced()
			case h.minor == 0 && strings.EqualFold(token, "keep-alive"):
				h.close = false
			}
		}
	}
	return h.announced()
}

// announced reads the names of the trailers to come. Only chunked bodies have any.
func (h *head) announced() error {
	names, ok := h.fields["Trailer"]
	if !ok || !h.chunked {
		return nil
	}
	delete(h.fields, "Trailer")
	h.trailer = http.Header{}
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(trim(name)); name == "" {
				continue
			}
			if framesMessage(name) {
				return errTrailer
			}
			h.trailer[name] = nil
		}
	}
	return nil
}

// bodyKind is how the end of a body is known.
type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyUntilClose
)

// framing says how the body ends (RFC 9112 §6.3), and its length for Response.ContentLength: -1 where it is not known.
// What two readers could understand in two ways is refused: Content-Length more than once, or with Transfer-Encoding.
func (h *head) framing(toHead bool) (bodyKind, int64, error) {
	if h.lengths > 1 {
		return bodyNone, 0, errLength
	}
	length := int64(-1)
	if h.lengths == 1 {
		if h.chunked {
			return bodyNone, 0, errLengthEncoding
		}
		n, ok := parseLength(h.length)
		if !ok {
			return bodyNone, 0, errLength
		}
		length = n
	}
	switch {
	case toHead:
		return bodyNone, length, nil
	case h.code == http.StatusNoContent, h.code == http.StatusNotModified, h.code < 200:
		return bodyNone, 0, nil
	case h.chunked:
		return bodyChunked, -1, nil
	case length == 0:
		return bodyNone, 0, nil
	case length > 0:
		return bodyLength, length, nil
	}
	return bodyUntilClose, -1, nil
}

// parseLength reads digits and nothing else.
func parseLength(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
