package credential

import (
	"encoding/base64"
	"iter"
	"net/http"
	"strings"
)

const (
	subprotocolHeader = "Sec-Websocket-Protocol" // as net/http spells it
	// subprotocolWord is the word before the token.
	subprotocolWord = "bearer"
	// subprotocolPrefix begins the word that holds a token in Kubernetes' manner.
	subprotocolPrefix = "base64url.bearer.authorization."
)

// subprotocols are the words that a client offers, over all lines of the header (RFC 6455 §11.3.4).
func subprotocols(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h[subprotocolHeader] {
			for rest, more := line, true; more; {
				var word string
				word, rest, more = strings.Cut(rest, ",")
				if word = trimBlanks(word); word != "" && !yield(word) {
					return
				}
			}
		}
	}
}

// findSubprotocol returns the token among the offered subprotocols, or "".
func findSubprotocol(h http.Header) (string, error) {
	found, next := "", false
	for word := range subprotocols(h) {
		token := ""
		switch {
		case next:
			token, next = word, false
		case strings.EqualFold(word, subprotocolWord):
			next = true
			continue
		case strings.HasPrefix(word, subprotocolPrefix):
			// The name in the middle may have dots, what is base64url has none.
			text, err := base64.RawURLEncoding.DecodeString(word[strings.LastIndexByte(word, '.')+1:])
			if token = string(text); err != nil || token == "" {
				return "", refuse(ReasonMalformed, "the subprotocol %s… holds no token in base64url", subprotocolPrefix)
			}
		default:
			continue
		}
		if found != "" && found != token {
			return "", refuse(ReasonConflict, "two different tokens among the subprotocols")
		}
		found = token
	}
	if next {
		return "", refuse(ReasonMalformed, "no token follows the subprotocol bearer")
	}
	return found, nil
}

// removeSubprotocol leaves the subprotocols that hold no token. A server must not choose one that does, because the
// answer would show it. When nothing is left the header goes: a browser that offered nothing but a token then sees
// its WebSocket fail, so clients offer the protocol that they speak, too.
func removeSubprotocol(h http.Header) {
	var kept []string
	changed, next := false, false
	for word := range subprotocols(h) {
		switch {
		case next:
			next = false
		case strings.EqualFold(word, subprotocolWord):
			changed, next = true, true
		case strings.HasPrefix(word, subprotocolPrefix):
			changed = true
		default:
			kept = append(kept, word)
		}
	}
	if !changed {
		return
	}
	if len(kept) == 0 {
		delete(h, subprotocolHeader)
		return
	}
	h[subprotocolHeader] = []string{strings.Join(kept, ", ")}
}
