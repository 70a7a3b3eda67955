package router

import (
	"errors"
	"net/http"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// SessionOptions configure the source "session".
type SessionOptions struct {
	// Session verifies the cookie. Required.
	Session *credential.Session
	// Table says that the sessions are in a table of the application's own, which holds tokens, and not in sys_session,
	// which holds hashes. Default: false.
	Table bool
	// AnyUser admits users who are not members of the environment. Default: false.
	AnyUser bool
	// Remove takes the cookie out of what is forwarded. Default: false.
	Remove bool
}

// sessionSource takes the user, and the environment in which the user is active, from a session.
type sessionSource struct {
	session *credential.Session
	kind    registry.Kind
	member  bool
}

// removingSession is a sessionSource that is a [Rewriter].
type removingSession struct{ *sessionSource }

// NewSession returns the source "session". It verifies the cookie's signature, and the router looks its token up in the
// registry: the session's active environment decides, or its active tenant, whose default environment is meant then; a
// session that is active in neither only says who the user is. One that is malformed, not signed by us, unknown, expired
// or revoked is refused with 401 credentials_invalid, and a request without one is left to the other sources.
func NewSession(o SessionOptions) (Source, error) {
	if o.Session == nil {
		return nil, errors.New("session: what verifies cookies is needed")
	}
	s := &sessionSource{session: o.Session, kind: registry.KindSession, member: !o.AnyUser}
	if o.Table {
		s.kind = registry.KindSessionToken
	}
	if o.Remove {
		return removingSession{s}, nil
	}
	return s, nil
}

// Name implements [Source].
func (*sessionSource) Name() string { return "session" }

// Identify implements [Source].
func (s *sessionSource) Identify(r *Request) (y Yield, err error) {
	err = s.identify(r, &y)
	return y, err
}

// identify is Identify for [identifyInto].
func (s *sessionSource) identify(r *Request, y *Yield) error {
	value, err := s.session.Extract(r.HTTP)
	if err != nil {
		return RefuseCredentials(challengeInvalidToken, err)
	}
	if value == "" {
		return nil
	}
	key, hash, err := s.session.Verify(value)
	if err != nil {
		return RefuseCredentials(challengeInvalidToken, err)
	}
	if s.kind == registry.KindSession {
		key = hash
	}
	y.Reference, y.Authenticated, y.Member = registry.Reference{Kind: s.kind, Key: key}, true, s.member
	return nil
}

// Rewrite implements [Rewriter].
func (s removingSession) Rewrite(r *http.Request) { s.session.Remove(r) }
