package router

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/tenantgate/tenantgate/registry"
)

// maxRawHost bounds a Host before anything else is done with it, in bytes. It leaves room for a name in UTF-8, which
// can be longer than its ASCII form.
const maxRawHost = 1024

// What can be wrong with a host. None of the texts repeats the host.
var (
	errHostEmpty   = errors.New("host is empty")
	errHostLong    = errors.New("host is too long")
	errHostLabel   = errors.New("host has an empty or too long label")
	errHostByte    = errors.New("host has a character that host names cannot have")
	errHostHyphen  = errors.New("host has a label that begins or ends with a hyphen")
	errHostPort    = errors.New("port is not a number from 1 to 65535")
	errHostLiteral = errors.New("host is not an IPv6 address in brackets")
	errHostIDNA    = errors.New("host is not a valid internationalized name")
)

// NormalizeHost returns the host name of a Host header or an :authority (RFC 3986 §3.2.2 without user information)
// in the form of the registry's domains: lower case, without port, without a trailing dot, internationalized names in
// ASCII (the Lookup profile of UTS #46). An IPv6 address stays in brackets, in the form of RFC 5952.
//
// Names consist of letters, digits and hyphens (RFC 1123 §2.1): underscores, percent escapes, blanks and all else is
// an error, as are empty labels, labels of more than 63 bytes, names of more than 253, and ports outside of 1 to 65535.
// An empty port is allowed (RFC 3986 §3.2.3). A name that is already normal costs no allocation, and what
// NormalizeHost returns it returns unchanged when asked again.
func NormalizeHost(hostport string) (string, error) {
	if hostport == "" {
		return "", errHostEmpty
	}
	if len(hostport) > maxRawHost {
		return "", errHostLong
	}
	if hostport[0] == '[' {
		return normalizeIPv6(hostport)
	}
	host := hostport
	if i := strings.IndexByte(hostport, ':'); i >= 0 {
		if !validPort(hostport[i+1:]) {
			return "", errHostPort
		}
		host = hostport[:i]
	}
	upper, unicode, err := checkHost(host)
	if err != nil {
		return "", err
	}
	if unicode {
		// Broken UTF-8 would be read as U+FFFD, and so would another breakage: two spellings of one name.
		if strings.ContainsRune(host, utf8.RuneError) {
			return "", errHostByte
		}
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", errHostIDNA
		}
		// The mapping can yield dots, and labels of any length.
		if _, unicode, err = checkHost(host); err != nil || unicode {
			return "", errHostIDNA
		}
	} else if upper {
		host = lowerASCII(host)
	}
	return strings.TrimSuffix(host, "."), nil
}

// Classes of bytes in a host name.
const (
	hostRefused = iota
	hostLetter  // a-z, 0-9
	hostUpper   // A-Z
	hostHyphen
	hostDot
	hostUnicode // a byte of UTF-8 beyond ASCII
)

var hostClass = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			t[c] = hostLetter
		case c >= 'A' && c <= 'Z':
			t[c] = hostUpper
		case c == '-':
			t[c] = hostHyphen
		case c == '.':
			t[c] = hostDot
		case c >= 0x80:
			t[c] = hostUnicode
		}
	}
	return t
}()

// checkHost looks once at each byte of a name without port. A name with bytes beyond ASCII is only checked for bytes
// that no host has: its labels and lengths are those of its ASCII form.
func checkHost(host string) (upper, unicode bool, err error) {
	label := 0 // where the current label begins
	for i := 0; i < len(host); i++ {
		switch hostClass[host[i]] {
		case hostLetter:
		case hostHyphen:
			if i == label {
				err = errHostHyphen
			}
		case hostUpper:
			upper = true
		case hostDot:
			if e := checkLabel(host[label:i]); e != nil {
				err = e
			}
			label = i + 1
		case hostUnicode:
			unicode = true
		default:
			return false, false, errHostByte
		}
	}
	if unicode {
		return upper, true, nil
	}
	length := len(host)
	if label == length && length > 0 {
		length-- // one trailing dot is the root, not an empty label
	} else if e := checkLabel(host[label:]); e != nil {
		err = e
	}
	if err == nil && length > registry.MaxHostLength {
		err = errHostLong
	}
	return upper, false, err
}

// checkLabel checks what cannot be seen before the label's end.
func checkLabel(label string) error {
	if label == "" || len(label) > registry.MaxSlugLength {
		return errHostLabel
	}
	if label[len(label)-1] == '-' {
		return errHostHyphen
	}
	return nil
}

// validPort reports whether s can follow the colon: nothing, or a number from 1 to 65535 without leading zeros.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > 5 || s[0] == '0' {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}

// normalizeIPv6 is NormalizeHost for what begins with a bracket.
func normalizeIPv6(hostport string) (string, error) {
	end := strings.IndexByte(hostport, ']')
	if end < 0 || end > 64 {
		return "", errHostLiteral
	}
	if rest := hostport[end+1:]; rest != "" && (rest[0] != ':' || !validPort(rest[1:])) {
		return "", errHostPort
	}
	addr, err := netip.ParseAddr(hostport[1:end])
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", errHostLiteral
	}
	var buf [64]byte
	normal := append(addr.AppendTo(append(buf[:0], '[')), ']')
	if string(normal) == hostport[:end+1] {
		return hostport[:end+1], nil
	}
	return string(normal), nil
}
