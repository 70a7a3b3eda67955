package router

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ProblemContentType is the media type of [Refusal.AppendProblem] (RFC 9457 §3).
const ProblemContentType = "application/problem+json"

// HTMLContentType is the media type of [Refusal.AppendHTML].
const HTMLContentType = "text/html; charset=utf-8"

// problemType begins the type URI of each problem; the code follows. It identifies and cannot be opened.
const problemType = "urn:tenantgate:problem:"

// problemQuotaExceeded is the type of quota_exceeded in place of that: the one that
// draft-ietf-httpapi-ratelimit-headers-10 §5.1 registers.
const problemQuotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// AppendProblem appends the refusal as a problem details object (RFC 9457) with the extension member "code", and with
// those of the quota, "violated-policies" of the draft among them, for quota_exceeded. instance is a URI reference for this occurrence, such as the path of the
// request or "urn:uuid:" and the request's id; it is left out when empty.
func (r *Refusal) AppendProblem(b []byte, instance string) []byte {
	w := r.words
	if w != nil && !w.fits(r) {
		w = nil
	}
	if w != nil {
		b = append(b, w.before...)
	} else {
		b = appendBefore(b, r)
	}
	if instance != "" {
		b = append(b, `,"instance":`...)
		b = appendJSON(b, "", instance)
	}
	if w != nil {
		return append(b, w.after...)
	}
	return appendAfter(b, r)
}

const hexDigits = "0123456789abcdef"

// plainJSON tells the bytes that stand for themselves in a string of [appendJSON]'s.
var plainJSON = func() (t [utf8.RuneSelf * 2]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = !strings.ContainsRune(`"\<>&'`, c)
	}
	return t
}()

// appendJSON appends prefix and s as one JSON string (RFC 8259 §7). What HTML gives a meaning to is escaped as well, so
// that a client which takes the body for HTML finds no markup in it. Bytes that are not UTF-8 become U+FFFD.
func appendJSON(b []byte, prefix, s string) []byte {
	b = append(b, '"')
	b = append(b, prefix...)
	for i := 0; i < len(s); {
		plain := i
		for i < len(s) && plainJSON[s[i]] {
			i++
		}
		if b = append(b, s[plain:i]...); i == len(s) {
			break
		}
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, `\n`...)
			default:
				b = append(b, `\u00`...)
				b = append(b, hexDigits[c>>4], hexDigits[c&0xf])
			}
			continue
		}
		char, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch char {
		case utf8.RuneError:
			b = append(b, `\ufffd`...)
		case '\u2028', '\u2029': // line ends to JavaScript
			b = append(b, `\u202`...)
			b = append(b, hexDigits[char&0xf])
		default:
			b = utf8.AppendRune(b, char)
		}
	}
	return append(b, '"')
}

// AppendHTML appends the refusal as a small page for people. It needs nothing from elsewhere, so that a strict
// Content-Security-Policy leaves it whole.
func (r *Refusal) AppendHTML(b []byte) []byte {
	b = append(b, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>`...)
	b = appendEscaped(b, r.Title)
	b = append(b, "</title>\n</head>\n<body>\n<h1>"...)
	b = appendEscaped(b, r.Title)
	b = append(b, "</h1>\n<p>"...)
	b = appendEscaped(b, r.Detail)
	b = append(b, "</p>\n<p><small>"...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, ' ')
	b = appendEscaped(b, r.Code)
	return append(b, "</small></p>\n</body>\n</html>\n"...)
}

// appendEscaped appends text for HTML, between tags or in quoted attributes.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '&':
			b = append(b, "&amp;"...)
		case '"':
			b = append(b, "&#34;"...)
		case '\'':
			b = append(b, "&#39;"...)
		default:
			b = append(b, c)
		}
	}
	return b
}
