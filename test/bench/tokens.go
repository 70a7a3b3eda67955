package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenLife is how long the tokens are valid: longer than any run.
const tokenLife = 24 * time.Hour

// writeTokens makes a key and a token (ES256) for each of the tenants 0 to n-1, and returns the file with the public key
// and the one with a token on each line.
func writeTokens(dir string, n int, now time.Time) (key, tokens string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return "", "", err
	}
	key, tokens = filepath.Join(dir, "key.pem"), filepath.Join(dir, "tokens")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644); err != nil {
		return "", "", err
	}
	var lines strings.Builder
	for i := range n {
		token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "https://id.bench.test", "aud": "bench", "sub": fmt.Sprintf("user-%d", i),
			"tenant_id": fmt.Sprintf(tenantSlugs, i), "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
		}).SignedString(private)
		if err != nil {
			return "", "", err
		}
		lines.WriteString(token + "\n")
	}
	return key, tokens, os.WriteFile(tokens, []byte(lines.String()), 0o600)
}
