package fleet

import (
	"testing"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: both modes keep the contract of every store, on a single Redis, with TLS and an ACL user, and on a cluster.
func TestContract(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *redis.Server{
		"single": func(t *testing.T) *redis.Server { return redis.Start(t, redis.Options{}) },
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			for _, mode := range []Mode{ModeLease, ModeExact} {
				t.Run(string(mode), func(t *testing.T) {
					quotatest.Run(t, quotatest.Options{New: func(t *testing.T) quota.Store {
						server.Must(t, "FLUSHALL")
						return newStore(t, server, func(o *Options) { o.Mode = mode })
					}})
				})
			}
		})
	}
}
