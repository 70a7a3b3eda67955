package fleet

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// Promise: an address is read as it is documented, and what it cannot be is refused without showing the password.
func TestParseURL(t *testing.T) {
	for text, want := range map[string]Address{
		"redis://localhost":                   {Hosts: []string{"localhost:6379"}},
		"redis://127.0.0.1:7000/":             {Hosts: []string{"127.0.0.1:7000"}},
		"rediss://redis.example.com:6380/15":  {Hosts: []string{"redis.example.com:6380"}, TLS: true, DB: 15},
		"redis://:pass@h":                     {Hosts: []string{"h:6379"}, Password: "pass"},
		"redis://gate:p%40s%3As%2F@h:1":       {Hosts: []string{"h:1"}, User: "gate", Password: "p@s:s/"},
		"redis://gate:a:b@h":                  {Hosts: []string{"h:6379"}, User: "gate", Password: "a:b"},
		"redis://a,b:7,c":                     {Hosts: []string{"a:6379", "b:7", "c:6379"}, Cluster: true},
		"redis://a?cluster=true":              {Hosts: []string{"a:6379"}, Cluster: true},
		"redis://u:p@[::1]:7,[fe80::1]":       {Hosts: []string{"[::1]:7", "[fe80::1]:6379"}, User: "u", Password: "p", Cluster: true},
		"rediss://u:p@redis.example.com/0":    {Hosts: []string{"redis.example.com:6379"}, User: "u", Password: "p", TLS: true},
		"redis://[::1]":                       {Hosts: []string{"[::1]:6379"}},
		"redis://xn--bcher-kva.example:65535": {Hosts: []string{"xn--bcher-kva.example:65535"}},
	} {
		got, err := ParseURL(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if s := got.String(); got.Password != "" && strings.Contains(s, got.Password) && got.Password != "p" || strings.Contains(s, "@") {
			t.Errorf("%s is shown as %s", text, s)
		}
	}
	for _, text := range []string{
		"", "localhost", "http://h", "redis:h", "redis://", "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h/x", "redis://h/-1",
		"redis://a,b/1", "redis://a,a", "redis://a,", "redis://secret@h", "redis://secret:@h", "redis://u:secret%@h", "redis://u:secret@",
		"redis://h?x=1", "redis://h?cluster=false", "redis://h?cluster=true&cluster=true", "redis://::1", "redis://[x]:1", "redis://[::1",
		"redis://h h", "redis://u:secret@h/%", "redis://{h}", "redis://h:1:2", "redis://a?%zz",
	} {
		got, err := ParseURL(text)
		if err == nil {
			t.Errorf("%s is read as %+v", text, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error of %s shows the password: %v", text, err)
		}
	}
}

// FuzzParseURL looks for what makes it panic, and for addresses that are read and cannot be.
func FuzzParseURL(f *testing.F) {
	f.Add("redis://u:p@h:1,[::1]:2/3?cluster=true")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseURL(text)
		if err != nil {
			return
		}
		if len(a.Hosts) == 0 || a.DB < 0 || a.Cluster && a.DB != 0 || len(a.Hosts) > 1 && !a.Cluster {
			t.Errorf("%q: %+v", text, a)
		}
		again, err := ParseURL(a.String())
		if a.Cluster && len(a.Hosts) == 1 {
			again.Cluster = true
		}
		if err != nil || !reflect.DeepEqual(again.Hosts, a.Hosts) || again.DB != a.DB || again.TLS != a.TLS {
			t.Errorf("%q is shown as %q: %+v, %v", text, a.String(), again, err)
		}
	})
}

// Promise: addresses that differ in anything, the password included, are told apart without showing it.
func TestIdentity(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{
		"redis://h", "rediss://h", "redis://h:1", "redis://h/1", "redis://h?cluster=true", "redis://:p@h", "redis://:q@h", "redis://u:p@h", "redis://h,i", "redis://i,h",
	} {
		a, err := ParseURL(text)
		if err != nil {
			t.Fatal(err)
		}
		if other, dup := seen[a.Identity()]; dup {
			t.Errorf("%s and %s are the same", text, other)
		}
		seen[a.Identity()] = text
	}
}

// Promise: no two limits have the same name in Redis, and all of one tenant are in one place of a cluster.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	tags := map[string]bool{}
	day := time.Date(2026, 11, 21, 23, 59, 59, 0, time.UTC)
	for _, prefix := range []string{"", "a", "a:", "tenantgate:"} {
		for _, tag := range [][16]byte{{1}, {15: 1}} {
			for _, scope := range []quota.Scope{1, 2, 11, 255} {
				for _, key := range [][16]byte{{1}, {15: 1}, {0: 0x11}} {
					for _, k := range []kind{kindRate, kindDay, kindMonth, kindConcurrent} {
						for _, at := range []time.Time{day, day.Add(time.Hour), day.AddDate(0, 1, 0)} {
							name := string(appendName(nil, prefix, &tag, &id{quota.Key{Scope: scope, ID: key}, k}, at))
							if again := k == kindRate || k == kindConcurrent || k == kindMonth && at.Month() == 11 && at.Day() == 22; seen[name] && !again {
								t.Errorf("%s is the name of two", name)
							}
							seen[name] = true
							open, end := strings.IndexByte(name, '{'), strings.IndexByte(name, '}')
							tags[name[open:end]] = true
						}
					}
				}
			}
		}
	}
	if len(tags) != 2 {
		t.Errorf("%d places for 2 tenants", len(tags))
	}
	if want := "p:{01000000000000000000000000000000}:a:2:00000000000000000000000000000001:2026-11"; string(appendName(nil, "p:", &[16]byte{1}, &id{quota.Key{Scope: 2, ID: [16]byte{15: 1}}, kindMonth}, day)) != want {
		t.Errorf("the name is not %s", want)
	}
}

// Promise: options that mean nothing are refused, and what is left out has its default.
func TestOptions(t *testing.T) {
	address := Address{Hosts: []string{"127.0.0.1:1"}}
	for name, o := range map[string]Options{
		"no address": {}, "mode": {Address: address, Mode: "fast"}, "on_loss": {Address: address, OnLoss: "panic"},
		"prefix with braces": {Address: address, Prefix: "{x}"}, "long prefix": {Address: address, Prefix: strings.Repeat("x", 65)},
		"prefix with a line end": {Address: address, Prefix: "a\n"}, "timeout": {Address: address, Timeout: -1},
		"lease": {Address: address, Lease: -1}, "heartbeat": {Address: address, Heartbeat: -1}, "idle": {Address: address, Idle: -1},
	} {
		if s, err := New(o); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	o := Options{Address: address}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if o.Mode != ModeLease || o.OnLoss != LossLocal || o.Timeout != DefaultTimeout || o.Prefix != DefaultPrefix || o.Node == "" {
		t.Errorf("%+v", o)
	}
}

// Promise: the shares of all nodes together are never more than the rate, except that each is at least one.
func TestShare(t *testing.T) {
	for _, r := range []quota.Rate{
		mustRate(t, 60, time.Minute, 20), mustRate(t, 7, time.Second, 3), mustRate(t, 1, 24*time.Hour, 1), mustRate(t, 50_000, time.Second, 0),
		mustRate(t, quota.MaxRequests, time.Second, 1), mustRate(t, 5, 12*time.Hour, 5),
	} {
		for _, nodes := range []int64{1, 2, 3, 4, 16, 64, 1000} {
			part := share(r, nodes)
			all := float64(part.Requests()) / part.Period().Seconds() * float64(nodes)
			if whole := float64(r.Requests()) / r.Period().Seconds(); all > whole*1.0000001 && part.Requests() != 1 {
				t.Errorf("%v for %d nodes: %v, %v a second in all", r, nodes, part, all)
			}
			if part.Burst() > max(r.Burst()/nodes, 1) || part.Burst() < 1 || part.IsZero() {
				t.Errorf("%v for %d nodes: %v", r, nodes, part)
			}
		}
	}
}
