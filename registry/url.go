package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// target is where a registry is, taken apart from its URL.
type target struct {
	// file is the path of an embedded registry; empty for a server.
	file string
	// read and write are the driver's URLs of a server. They differ for ws and wss, where writes go by HTTP.
	read, write string
	// shown is the URL as errors and logs show it.
	shown string
	// cleartext is true where a token would cross a network unencrypted.
	cleartext bool
}

const wantURL = "want file:PATH, libsql://HOST, https://HOST, wss://HOST, or without TLS http://HOST:PORT or ws://HOST:PORT"

// parseURL checks a registry URL. Its errors never repeat the URL: it might hold a secret in the wrong place.
func parseURL(raw string) (target, error) {
	scheme, rest, ok := strings.Cut(raw, ":")
	switch {
	case raw == "":
		return target{}, errors.New("registry URL is empty: " + wantURL)
	case !ok:
		return target{}, errors.New("registry URL has no scheme: " + wantURL)
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "file":
		return fileTarget(rest)
	case "libsql", "https", "http", "wss", "ws":
		return serverTarget(scheme, rest)
	}
	return target{}, errors.New("registry URL has an unknown scheme: " + wantURL)
}

// fileTarget takes the path as it stands, without any decoding: a "%" or a "#" in it is part of a file's name.
func fileTarget(path string) (target, error) {
	if after, ok := strings.CutPrefix(path, "//"); ok {
		if !strings.HasPrefix(after, "/") {
			return target{}, errors.New("registry URL file://… names a host: want file:PATH or file:///PATH")
		}
		path = after
	}
	switch {
	case path == "":
		return target{}, errors.New("registry URL file: has no path")
	case strings.ContainsAny(path, "?\x00"):
		return target{}, errors.New("registry URL file: takes a path only, no parameters")
	case path == ":memory:":
		return target{}, errors.New("registry URL file::memory: is not possible: every connection would have a registry of its own")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return target{}, errors.New("registry URL file: the working directory is unknown: give an absolute path")
	}
	return target{file: abs, shown: "file:" + path}, nil
}

func serverTarget(scheme, rest string) (target, error) {
	u, err := url.Parse(scheme + ":" + rest)
	if err != nil { // its text holds the URL
		return target{}, errors.New("registry URL cannot be read: " + wantURL)
	}
	switch {
	case u.User != nil:
		return target{}, errors.New("registry URL must not hold a user, password or token: give the token as auth_token")
	case u.RawQuery != "" || u.ForceQuery:
		return target{}, errors.New("registry URL must have no query; a token belongs into auth_token, never into the URL")
	case u.Fragment != "":
		return target{}, errors.New("registry URL must have no fragment")
	case u.Hostname() == "" || u.Opaque != "":
		return target{}, errors.New("registry URL has no host: " + wantURL)
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return target{}, errors.New("registry URL has no valid port")
		}
	}
	u.Host = strings.ToLower(u.Host)
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	t := target{shown: u.String()}
	if scheme == "libsql" { // libsql means TLS; a server without TLS is reached by http
		u.Scheme = "https"
	}
	t.read = u.String()
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	t.write = u.String()
	t.cleartext = u.Scheme == "http" && !loopback(u.Hostname())
	return t, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// fileDSN makes the driver's URL of an embedded registry. SQLite reads file: URIs with percent escapes
// (https://sqlite.org/uri.html §3.1), so what it would take for one is escaped.
func fileDSN(path string, busy time.Duration) string {
	var b strings.Builder
	b.WriteString("file:")
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/-._~", c) >= 0:
			b.WriteByte(c)
		default:
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	// WAL lets readers go on while somebody writes. NORMAL may lose the last commits when the machine loses power,
	// never the file's integrity. Immediate transactions take the write lock at once: one that read first and wanted
	// to write later would fail where it can wait now.
	b.WriteString("?_pragma=busy_timeout(" + strconv.FormatInt(busy.Milliseconds(), 10) + ")" +
		"&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(NORMAL)&_txlock=immediate")
	return b.String()
}

// identity is a key for "the same registry with the same rights", without showing the token.
func (t target) identity(token string) string {
	where := t.read
	if t.file != "" {
		where = "file:" + t.file
	}
	sum := sha256.Sum256([]byte(token))
	return where + " token sha256:" + hex.EncodeToString(sum[:8])
}
