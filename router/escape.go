package router

import (
	"bytes"
	"net/url"
	"strings"
)

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// decodeAt returns the byte that s means at i (RFC 3986 §2.1) and how many bytes of s it takes: three for %XX. A broken
// escape means its own bytes.
func decodeAt[T string | []byte](s T, i int) (c byte, size int) {
	if s[i] == '%' && i+2 < len(s) {
		hi, ok1 := unhex(s[i+1])
		lo, ok2 := unhex(s[i+2])
		if ok1 && ok2 {
			return hi<<4 | lo, 3
		}
	}
	return s[i], 1
}

// equalDecoded reports whether raw, decoded once, is text. With plus, "+" means a blank, as in query strings.
func equalDecoded(raw, text string, plus bool) bool {
	if len(raw) < len(text) || len(raw) > 3*len(text) {
		return false
	}
	j := 0
	for i := 0; i < len(raw); j++ {
		c, size := decodeAt(raw, i)
		if plus && size == 1 && c == '+' {
			c = ' '
		}
		if j == len(text) || c != text[j] {
			return false
		}
		i += size
	}
	return j == len(text)
}

// plainPath reports whether an escaped path that begins with "/" has nothing that servers read differently: no escapes,
// backslashes, parameters, segments that begin with a dot, or empty segments. It only scans; false is no verdict.
func plainPath(escaped string) bool {
	return strings.IndexByte(escaped, '%') < 0 && strings.IndexByte(escaped, ';') < 0 &&
		strings.IndexByte(escaped, '\\') < 0 && !strings.Contains(escaped, "/.") && !strings.Contains(escaped, "//")
}

// maxEscapes is how many times over a path may be escaped. More is nobody's honest path, and looking further would cost
// time that grows with the square of its length.
const maxEscapes = 4

// loosePath returns an escaped path that begins with "/" as the most obliging server would read it: unescaped until
// nothing is left to unescape, backslashes as slashes, parameters (";x") cut off, empty segments merged. shifty says
// that a segment of one or two dots is left, which such a server would go on to resolve, or that there is no end to the
// escapes.
func loosePath(escaped string) (path string, shifty bool) {
	b := []byte(escaped)
	for pass, again := 0, true; again; pass++ {
		if pass > maxEscapes {
			return "", true
		}
		again = false
		n := 0
		for i := 0; i < len(b); n++ {
			c, size := decodeAt(b, i)
			again = again || size > 1
			b[n] = c // n is never ahead of i
			i += size
		}
		b = b[:n]
	}
	loose := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		for i < len(b) && isSlash(b[i]) {
			i++
		}
		start := i
		for i < len(b) && !isSlash(b[i]) {
			i++
		}
		segment, _, _ := bytes.Cut(b[start:i], []byte{';'})
		switch {
		case len(segment) == 0:
			continue
		case string(segment) == ".", string(segment) == "..":
			shifty = true
		}
		loose = append(append(loose, '/'), segment...)
	}
	return string(loose), shifty
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

// sentPath returns the escaped path as the client sent it. url.URL.EscapedPath escapes anew when it finds a character
// that should have been escaped, and then an escaped slash comes out as a plain one: "/a%2Fb\"" as "/a/b%22".
func sentPath(u *url.URL) string {
	if u.RawPath != "" {
		if decoded, err := url.PathUnescape(u.RawPath); err == nil && decoded == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}

// cutSegment splits an escaped path that begins with "/" into its first segment and the rest, which begins with "/" or
// is empty.
func cutSegment(path string) (segment, rest string) {
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : i+1], path[i+1:]
	}
	return path[1:], ""
}

// setPath gives u the escaped path p, as url.Parse would.
func setPath(u *url.URL, p string) {
	decoded, err := url.PathUnescape(p)
	if err != nil {
		return // cannot be: p is a part of what sentPath returned
	}
	u.Path, u.RawPath = decoded, ""
	if u.EscapedPath() != p {
		u.RawPath = p
	}
}
