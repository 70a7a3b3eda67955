package router

import (
	"strings"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

// maxKnownKeys bounds the API keys of which a hash is remembered; about 250 bytes each.
const maxKnownKeys = 10_000

// knownKeys remembers the hashes of API keys that the registry has known, so that a key in use is hashed once and not for
// each request. It says nothing about a key's being good: whoever finds a hash here looks it up all the same. What the
// registry does not know never gets in, so that made-up keys push nobody out.
type knownKeys struct {
	hashes *xsync.Map[string, string]
	count  atomic.Int64
}

func newKnownKeys() *knownKeys { return &knownKeys{hashes: xsync.NewMap[string, string]()} }

// hash returns the hash of a key, "" if it is not remembered.
func (k *knownKeys) hash(key string) string {
	hash, _ := k.hashes.Load(key)
	return hash
}

// add remembers a key that was found by its hash. When there is no room it begins anew: what is in use comes back.
func (k *knownKeys) add(key, hash string) {
	if k.count.Load() >= maxKnownKeys {
		k.hashes.Clear()
		k.count.Store(0)
	}
	// The key points into the request.
	if _, known := k.hashes.LoadOrStore(strings.Clone(key), hash); !known {
		k.count.Add(1)
	}
}
