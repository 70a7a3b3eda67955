package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota/fleet"
)

// Promise: the password can come from the environment or a file, and no error shows any part of it.
func TestQuotaOptions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte("secret-of-a-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_REDIS_PASSWORD", "secret@/:of the environment")
	t.Setenv("TEST_REDIS_URL", "rediss://gate:secret%40@a,b:7")
	for name, tt := range map[string]struct {
		q    Quota
		want fleet.Address
	}{
		"plain":       {Quota{URL: "redis://h"}, fleet.Address{Hosts: []string{"h:6379"}}},
		"environment": {Quota{URL: "redis://h", Username: "gate", Password: "{env.TEST_REDIS_PASSWORD}"}, fleet.Address{Hosts: []string{"h:6379"}, User: "gate", Password: "secret@/:of the environment"}},
		"file":        {Quota{URL: "redis://h", Password: "{file." + file + "}"}, fleet.Address{Hosts: []string{"h:6379"}, Password: "secret-of-a-file"}},
		"URL":         {Quota{URL: "{env.TEST_REDIS_URL}"}, fleet.Address{Hosts: []string{"a:6379", "b:7"}, User: "gate", Password: "secret@", TLS: true, Cluster: true}},
	} {
		o, err := tt.q.options()
		if err != nil || o.Address.Identity() != tt.want.Identity() {
			t.Errorf("%s: %+v, %v", name, o.Address, err)
		}
	}
	notPEM := filepath.Join(dir, "not.pem")
	if err := os.WriteFile(notPEM, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]Quota{
		"unknown variable":       {URL: "redis://h", Password: "secret{env.TEST_REDIS_NOT_THERE}"},
		"unknown variable, URL":  {URL: "redis://u:secret{env.TEST_REDIS_NOT_THERE}@h"},
		"bad URL":                {URL: "redis://u:secret%@h"},
		"twice":                  {URL: "redis://u:secret@h", Password: "secret"},
		"file that is not there": {URL: "rediss://u:secret@h", CAFile: filepath.Join(dir, "nowhere.pem")},
		"no certificate":         {URL: "rediss://u:secret@h", CAFile: notPEM},
		"ca_file without TLS":    {URL: "redis://u:secret@h", CAFile: file},
	} {
		if o, err := q.options(); err == nil {
			t.Errorf("%s: %+v", name, o)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	for name, q := range map[string]Quota{
		"no URL": {}, "mode": {URL: "redis://h", Mode: "x"}, "on_loss": {URL: "redis://h", OnLoss: "x"}, "timeout": {URL: "redis://h", Timeout: -1},
		"username": {URL: "redis://h", Username: "u"}, "prefix": {URL: "redis://h", Prefix: strings.Repeat("x", 65)},
	} {
		if q.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Promise: configurations that say the same of Redis share one connection, and with the last of them it is gone; one that
// is only checked makes none.
func TestFleetIsShared(t *testing.T) {
	s := newServer(t)
	open := func() (n int) {
		fleets.Range(func(any, any) bool { n++; return true })
		return n
	}
	const tenants = "registry file:%s\nquota redis://127.0.0.1:1 {\ntimeout %s\n}\n"
	registry := filepath.Join(s.dir, "tenants.db")
	config := func(timeout string) string {
		return strings.Replace(strings.Replace(tenants, "%s", registry, 1), "%s", timeout, 1)
	}
	s.mustLoad(config("10ms"), "tenant {\nidentify header X-Tenant-ID\n}\n")
	var first any
	fleets.Range(func(_, v any) bool { first = v; return true })
	if open() != 1 {
		t.Fatalf("%d connections", open())
	}
	s.mustLoad(config("10ms"), "tenant {\nidentify header X-Tenant\n}\n")
	fleets.Range(func(_, v any) bool {
		if v != first {
			t.Error("a reload made another connection")
		}
		return true
	})
	s.mustLoad(config("20ms"), "tenant {\nidentify header X-Tenant\n}\n")
	for deadline := time.Now().Add(patience); open() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections after a change", open())
		}
	}
	s.mustLoad("registry file:"+registry, "tenant {\nidentify header X-Tenant\n}\n")
	for deadline := time.Now().Add(patience); open() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections without any", open())
		}
	}
}
