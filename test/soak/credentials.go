package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// sessionCookie is the Cookie header that better-auth would have a browser send.
func sessionCookie(token string) string {
	mac := hmac.New(sha256.New, []byte(sessionSecret))
	mac.Write([]byte(token))
	return "better-auth.session_token=" + url.QueryEscape(token+"."+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// hashOf is the lower-case hex SHA-256 by which sessions are kept.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// bearer is the Authorization header of a token for a tenant, signed with some secret.
func bearer(secret, tenant string) (string, error) {
	now := time.Now()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud": "soak", "sub": "u1", "tenant_id": tenant, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}).SignedString([]byte(secret))
	return "Bearer " + text, err
}
