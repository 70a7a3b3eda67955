package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Address says where Redis is. [ParseURL] makes one.
type Address struct {
	// Hosts are "host:port". With more than one, or with Cluster, they are nodes of a cluster.
	Hosts []string
	// TLS asks for TLS 1.2 or later.
	TLS bool
	// User and Password are those of an ACL user; a password without a user is the default user's.
	User, Password string
	// DB is the number of the database; a cluster has only 0.
	DB int
	// Cluster says that Hosts are nodes of a cluster, even if it is only one.
	Cluster bool
}

// ParseURL reads an address of the form
//
//	redis://[user:password@]host[:port][,host[:port]…][/db][?cluster=true]
//
// with rediss:// for TLS. The port defaults to 6379. Several hosts are nodes of one cluster. No error shows the user or
// the password.
func ParseURL(text string) (Address, error) {
	var a Address
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case ok && scheme == "redis":
	case ok && scheme == "rediss":
		a.TLS = true
	default:
		return Address{}, errors.New("the URL must begin with redis:// or rediss://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	if err := a.parseQuery(query); err != nil {
		return Address{}, err
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		if err := a.parseUser(rest[:i]); err != nil {
			return Address{}, err
		}
		rest = rest[i+1:]
	}
	hosts, db, hasDB := strings.Cut(rest, "/")
	if hasDB && db != "" {
		n, err := strconv.Atoi(db)
		if err != nil || n < 0 {
			return Address{}, errors.New("the path of the URL must be the number of a database")
		}
		a.DB = n
	}
	for host := range strings.SplitSeq(hosts, ",") {
		h, err := parseHost(host)
		if err != nil {
			return Address{}, err
		}
		if slices.Contains(a.Hosts, h) {
			return Address{}, fmt.Errorf("host %s is given twice", h)
		}
		a.Hosts = append(a.Hosts, h)
	}
	if len(a.Hosts) > 1 {
		a.Cluster = true
	}
	if a.Cluster && a.DB != 0 {
		return Address{}, errors.New("a cluster has no other database than 0")
	}
	return a, nil
}

func (a *Address) parseQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the query of the URL cannot be read")
	}
	for name, v := range values {
		if name != "cluster" || len(v) != 1 || v[0] != "true" {
			return errors.New("the query of the URL can only be cluster=true")
		}
		a.Cluster = true
	}
	return nil
}

func (a *Address) parseUser(text string) error {
	user, password, ok := strings.Cut(text, ":")
	var err, err2 error
	a.User, err = url.PathUnescape(user)
	a.Password, err2 = url.PathUnescape(password)
	if err != nil || err2 != nil {
		return errors.New("the user or the password in the URL is not percent-encoded as it must be")
	}
	if !ok || a.Password == "" {
		return errors.New("what stands before the @ of the URL must be user:password, or :password")
	}
	return nil
}

func parseHost(text string) (string, error) {
	host, port := text, "6379"
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i+1:]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok || net.ParseIP(inner) == nil {
			return "", errors.New("an IPv6 address in the URL must stand in brackets")
		}
		host = inner
	} else if host == "" || strings.ContainsAny(host, ":[] \t@\\#{}") {
		return "", errors.New("the URL must name a host")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("a port of the URL must be from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

// String returns the URL without user and password, for logs.
func (a Address) String() string {
	scheme, db := "redis://", ""
	if a.TLS {
		scheme = "rediss://"
	}
	if a.DB != 0 {
		db = "/" + strconv.Itoa(a.DB)
	}
	return scheme + strings.Join(a.Hosts, ",") + db
}

// Identity tells addresses apart, users and passwords included, without showing them.
func (a Address) Identity() string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q %v %d %v", a.Hosts, a.User, a.Password, a.TLS, a.DB, a.Cluster)))
	return hex.EncodeToString(sum[:16])
}
