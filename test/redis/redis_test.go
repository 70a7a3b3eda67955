package redis

import (
	"testing"
	"time"
)

// Promise: the server answers, hangs while it is paused, and comes back empty after a crash.
func TestServer(t *testing.T) {
	s := Start(t, Options{})
	s.Must(t, "SET", "a", "1")
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if s.answers() {
		t.Error("a paused server answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Must(t, "GET", "a").ToString(); err != nil || got != "1" {
		t.Errorf("got %q, %v", got, err)
	}
	s.Stop()
	if _, err := s.Do("PING"); err == nil {
		t.Error("a stopped server answers")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Must(t, "EXISTS", "a").AsInt64(); err != nil || got != 0 {
		t.Errorf("data survived a crash: %v, %v", got, err)
	}
}

// Promise: with TLS and a user, nobody else gets in.
func TestServerTLS(t *testing.T) {
	s := Start(t, Options{TLS: true, User: "gate", Password: "secret"})
	s.Must(t, "SET", "a", "1")
	s.options.Password = "wrong"
	if _, err := s.Do("GET", "a"); err == nil {
		t.Error("a wrong password was accepted")
	}
}

// Promise: a cluster of three forms in a few seconds, and each node serves its slots only.
func TestCluster(t *testing.T) {
	began := time.Now()
	nodes := StartCluster(t, Options{})
	t.Logf("formed in %v", time.Since(began))
	served := 0
	for _, s := range nodes {
		if _, err := s.Do("GET", "{a}1"); err == nil || err.Error() == "redis nil message" {
			served++
		}
	}
	if served != 1 {
		t.Errorf("%d nodes serve the same key", served)
	}
}
