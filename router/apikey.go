package router

import (
	"errors"
	"net/http"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// APIKeyOptions configure the source "api_key".
type APIKeyOptions struct {
	// Extractor finds the key in a request. Required.
	Extractor *credential.KeyExtractor
	// Remove takes the key out of what is forwarded. Default: false.
	Remove bool
}

// apiKeySource takes the environment from an API key.
type apiKeySource struct {
	extractor *credential.KeyExtractor
	known     *knownKeys
}

// removingAPIKey is an apiKeySource that is a [Rewriter].
type removingAPIKey struct{ *apiKeySource }

// NewAPIKey returns the source "api_key". A key belongs to one environment; the router looks its hash up in the registry.
// One that is malformed, mistyped, unknown, expired or revoked is refused with 401 credentials_invalid, and a request
// without one is left to the other sources. A key that acts as a user is only good as long as that user is a member of
// the environment.
func NewAPIKey(o APIKeyOptions) (Source, error) {
	if o.Extractor == nil {
		return nil, errors.New("api_key: what finds keys is needed")
	}
	s := &apiKeySource{o.Extractor, newKnownKeys()}
	if o.Remove {
		return removingAPIKey{s}, nil
	}
	return s, nil
}

// Name implements [Source].
func (*apiKeySource) Name() string { return "api_key" }

// Identify implements [Source].
func (s *apiKeySource) Identify(r *Request) (y Yield, err error) {
	err = s.identify(r, &y)
	return y, err
}

// identify is Identify for [identifyInto].
func (s *apiKeySource) identify(r *Request, y *Yield) error {
	key, err := s.extractor.Extract(r.HTTP)
	if err != nil {
		return RefuseCredentials(challengeInvalidToken, err)
	}
	if key == "" {
		return nil
	}
	hash := s.known.hash(key)
	learn := hash == ""
	if learn {
		if _, err := credential.ParseKey(key); err != nil {
			return RefuseCredentials(challengeInvalidToken, err)
		}
		hash = credential.LookupKey(key)
	}
	y.Reference = registry.Reference{Kind: registry.KindAPIKey, Key: hash}
	y.Authenticated, y.Machine, y.Member, y.learn = true, true, true, learn
	return nil
}

// learn implements learner.
func (s *apiKeySource) learn(r *Request, ref registry.Reference) {
	if key, err := s.extractor.Extract(r.HTTP); err == nil && key != "" {
		s.known.add(key, ref.Key)
	}
}

// Rewrite implements [Rewriter].
func (s removingAPIKey) Rewrite(r *http.Request) { s.extractor.Remove(r) }
