package fleet

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// rights are all that the user of a gateway needs: its own keys and channels, and these commands.
const rights = "~tenantgate:* &tenantgate:* -@all +hello +ping +auth +select +client|setname " +
	"+eval +evalsha +time +hmget +hset +hdel +hgetall +del +pexpire +pexpireat " +
	"+zadd +zrem +zcard +zremrangebyscore +publish +subscribe +unsubscribe"

// Promise: both modes keep the contract of every store, on a single Redis, with TLS and an ACL user that may do no more
// than is needed, on a cluster, and so does the local store.
func TestContract(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		quotatest.Run(t, quotatest.Options{New: func(*testing.T) quota.Store { return quota.NewLocal(quota.LocalOptions{}) }})
	})
	for name, start := range map[string]func(t *testing.T) (url string, config *tls.Config, nodes []*redis.Server){
		"single": func(t *testing.T) (string, *tls.Config, []*redis.Server) {
			s := redis.Start(t, redis.Options{})
			return s.URL(), nil, []*redis.Server{s}
		},
		"TLS and user": func(t *testing.T) (string, *tls.Config, []*redis.Server) {
			s := redis.Start(t, redis.Options{TLS: true, User: "gate", Password: "p%20x", Rights: rights + " +flushall +info"})
			config := &tls.Config{RootCAs: s.CA(), MinVersion: tls.VersionTLS12}
			// The password of the URL is percent-encoded.
			return "rediss://gate:p%2520x@" + s.Addr() + "/0", config, []*redis.Server{s}
		},
		"cluster": func(t *testing.T) (string, *tls.Config, []*redis.Server) {
			nodes := redis.StartCluster(t, redis.Options{User: "gate", Password: "secret", Rights: rights + " +cluster +flushall"})
			return redis.ClusterURL(nodes), nil, nodes
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, config, nodes := start(t)
			for _, mode := range []Mode{ModeLease, ModeExact} {
				t.Run(string(mode), func(t *testing.T) {
					quotatest.Run(t, quotatest.Options{Loose: mode == ModeLease, New: func(t *testing.T) quota.Store {
						for _, s := range nodes {
							s.Must(t, "FLUSHALL")
						}
						s := newStoreAt(t, url, func(o *Options) { o.Mode, o.TLS = mode, config })
						t.Cleanup(func() {
							if f := s.Stats().Failures; f > 0 {
								t.Errorf("%d calls failed", f)
							}
						})
						return s
					}})
				})
			}
		})
	}
}

// Promise: with a wrong password, a certificate of an unknown authority, or without rights, nothing works and the reason
// stands in the log; quotas are then decided locally.
func TestWrongCredentials(t *testing.T) {
	server := redis.Start(t, redis.Options{TLS: true, User: "gate", Password: "right"})
	for name, o := range map[string]Options{
		"password":    {Address: Address{Hosts: []string{server.Addr()}, TLS: true, User: "gate", Password: "wrong"}, TLS: &tls.Config{RootCAs: server.CA(), MinVersion: tls.VersionTLS12}},
		"certificate": {Address: Address{Hosts: []string{server.Addr()}, TLS: true, User: "gate", Password: "right"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if n := quotatest.Drain(s, limitsOf(1, quotatest.Slow(t, 5)), 10); n != 5 {
				t.Errorf("%d passed, want the 5 of the local store", n)
			}
			if s.Stats().Up {
				t.Error("it works")
			}
		})
	}
}

// Promise: one shard of a cluster that hangs concerns the tenants that are there, and costs even them no more than the
// timeout now and then.
func TestShardLost(t *testing.T) {
	nodes := redis.StartCluster(t, redis.Options{})
	s := newStoreAt(t, redis.ClusterURL(nodes), func(o *Options) { o.Timeout = 300 * time.Millisecond })
	rate, out := mustRate(t, 100_000, time.Second, 0), make([]quota.Status, 1)
	for n := range 30 {
		if !s.Take(time.Now(), 1, limitsOf(n, rate), out) {
			t.Fatal("refused")
		}
	}
	if err := nodes[2].Pause(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := nodes[2].Resume(); err != nil {
			t.Error(err)
		}
	}()
	// Who had to wait has met a call that failed; how long they waited would depend on what else the machine does.
	failures, began, rounds := s.Stats().Failures, time.Now(), 0
	for ; time.Since(began) < 2*time.Second || rounds < 100; rounds++ {
		for n := range 30 {
			if !s.Take(time.Now(), 1, limitsOf(n, rate), out) {
				t.Fatal("refused")
			}
		}
		time.Sleep(time.Millisecond)
	}
	seconds := time.Since(began).Seconds()
	waits := s.Stats().Failures - failures
	if most := 20 * (seconds + 1); float64(waits) > most {
		t.Errorf("%d calls failed in %.1f s", waits, seconds)
	}
	t.Logf("%d calls failed and %d times it was lost, for %d requests in %.1f s", waits, s.Stats().Losses, 30*rounds, seconds)
}
