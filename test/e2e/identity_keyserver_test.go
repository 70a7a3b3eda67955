package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// keyFaults are the ways in which an issuer's key set can be out of reach, each a path of the key server. Each of them
// would give the right keys in the end to whoever puts up with it.
var keyFaults = []string{"down", "large", "large-unannounced", "slow", "garbage", "list", "redirects", "other-scheme", "error"}

// tooLarge is more than any key set may have, in bytes.
const tooLarge = 10 << 20

// keyServer publishes an issuer's keys, well and badly.
type keyServer struct {
	*httptest.Server
	// broken makes "/breakable" answer 500.
	broken atomic.Bool
}

func startKeyServer(t *testing.T, key *ecdsa.PrivateKey) *keyServer {
	t.Helper()
	document, err := keyServerJWKS(key)
	if err != nil {
		t.Fatal(err)
	}
	padded := append(bytes.Repeat([]byte(" "), tooLarge), document...)
	s, mux := &keyServer{}, http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) })
	mux.HandleFunc("/breakable", func(w http.ResponseWriter, _ *http.Request) {
		if s.broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(document)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(padded)) // with Content-Length
	})
	mux.HandleFunc("/large-unannounced", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(padded)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		for _, b := range document { // far longer than anybody should wait
			_, _ = w.Write([]byte{b})
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	mux.HandleFunc("/garbage", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>not the keys that you are looking for</html>"))
	})
	mux.HandleFunc("/list", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[1,2,3]")) })
	mux.HandleFunc("/redirects", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/redirects", http.StatusFound)
	})
	mux.HandleFunc("/other-scheme", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(document)
	})
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// keyServer adds a row for each way in which keys cannot be had: nobody can tell whether the token is good then, which is
// not the token's fault.
func (b *badInputs) keyServer(t *testing.T) {
	for fault, why := range map[string]string{
		"down": "EOF", "large": "bytes: 1048576 is the most", "large-unannounced": "more than 1048576 bytes", "slow": "deadline exceeded",
		"garbage": "keys", "list": "keys", "redirects": "more than 3 redirects", "other-scheme": "redirect from http", "error": "answered 500",
	} {
		b.add("jwks: "+fault, "jwks-"+fault, withToken("gateway.test", b.token(t, "acme")), 503, "keys_unavailable", why)
	}
}

// keyServerJWKS is the key set of the issuer.
func keyServerJWKS(key *ecdsa.PrivateKey) ([]byte, error) {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
}
