package registry

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Promise: every form of URL leads where it says, and libsql means TLS.
func TestParseURL(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url  string
		want target
	}{
		{"file:tenants.db", target{file: filepath.Join(cwd, "tenants.db"), shown: "file:tenants.db"}},
		{"file:/var/lib/t.db", target{file: "/var/lib/t.db", shown: "file:/var/lib/t.db"}},
		{"file:///var/lib/t.db", target{file: "/var/lib/t.db", shown: "file:/var/lib/t.db"}},
		{"FILE:/a b%20c#d.db", target{file: "/a b%20c#d.db", shown: "file:/a b%20c#d.db"}},
		{"http://127.0.0.1:8080", target{read: "http://127.0.0.1:8080", write: "http://127.0.0.1:8080", shown: "http://127.0.0.1:8080"}},
		{"http://Registry:8080/", target{read: "http://registry:8080", write: "http://registry:8080", shown: "http://registry:8080", cleartext: true}},
		{"https://r.example.com/x/", target{read: "https://r.example.com/x", write: "https://r.example.com/x", shown: "https://r.example.com/x"}},
		{"libsql://t.turso.io", target{read: "https://t.turso.io", write: "https://t.turso.io", shown: "libsql://t.turso.io"}},
		{"wss://t.turso.io", target{read: "wss://t.turso.io", write: "https://t.turso.io", shown: "wss://t.turso.io"}},
		{"ws://[::1]:8080", target{read: "ws://[::1]:8080", write: "http://[::1]:8080", shown: "ws://[::1]:8080"}},
		{"ws://10.0.0.1:80", target{read: "ws://10.0.0.1:80", write: "http://10.0.0.1:80", shown: "ws://10.0.0.1:80", cleartext: true}},
	} {
		if got, err := parseURL(test.url); err != nil || got != test.want {
			t.Errorf("%s: got %+v %v, want %+v", test.url, got, err, test.want)
		}
	}
}

// Promise: a URL that can lead nowhere, or that holds a secret, is refused with a text that says what to do and never
// repeats the secret.
func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{}, "registry URL is empty: want file:PATH"},
		{Options{URL: "tenants.db"}, "registry URL has no scheme"},
		{Options{URL: "postgres://hunter2@h/db"}, "unknown scheme"},
		{Options{URL: "file:"}, "has no path"},
		{Options{URL: "file://host/x"}, "names a host"},
		{Options{URL: "file:x.db?mode=ro"}, "takes a path only"},
		{Options{URL: "file::memory:"}, "is not possible"},
		{Options{URL: "http://"}, "has no host"},
		{Options{URL: "http:8080"}, "has no host"},
		{Options{URL: "http://h:0"}, "no valid port"},
		{Options{URL: "http://h:65536"}, "no valid port"},
		{Options{URL: "http://h:"}, "no valid port"},
		{Options{URL: "http://h:hunter2"}, "cannot be read"},
		{Options{URL: "libsql://hunter2@h"}, "must not hold a user, password or token: give the token as auth_token"},
		{Options{URL: "libsql://u:hunter2@h"}, "must not hold a user"},
		{Options{URL: "libsql://h?authToken=hunter2"}, "a token belongs into auth_token"},
		{Options{URL: "libsql://h/?jwt=hunter2"}, "a token belongs into auth_token"},
		{Options{URL: "libsql://h?"}, "must have no query"},
		{Options{URL: "libsql://h#hunter2"}, "no fragment"},
		{Options{URL: "http://h\x00hunter2"}, "cannot be read"},
		{Options{URL: "http://h", AuthToken: "hunter2\nx"}, "characters that no token has"},
		{Options{URL: "file:x.db", AuthToken: "hunter2"}, "takes no auth_token"},
		{Options{URL: "file:x.db", Timeout: -1}, "must not be negative"},
		{Options{URL: "file:x.db", MaxOpenConns: 1}, "at least 2"},
	} {
		_, err := Open(test.o)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want %s", test.o.URL, err, test.want)
		}
	}
}

// Promise: stores of the same registry with the same token have the same identity, others have not, and no text of a
// store shows its token.
func TestIdentity(t *testing.T) {
	const token = "eyJhbGciOiJFZERTQSJ9.hunter2"
	identity := func(url, token string) string {
		s := opened(t, Options{URL: url, AuthToken: token})
		if strings.Contains(s.Identity()+s.RedactedURL(), "hunter2") {
			t.Error("the token is shown")
		}
		return s.Identity()
	}
	if identity("libsql://h", token) != identity("https://H/", token+"\n") {
		t.Error("the same registry has two identities")
	}
	if identity("file:x.db", "") != identity("file:./x.db", "") {
		t.Error("the same file has two identities")
	}
	seen := map[string]bool{}
	for _, id := range []string{identity("libsql://h", token), identity("libsql://h", "other"), identity("libsql://h", ""), identity("http://h", token), identity("wss://h", token), identity("file:x.db", "")} {
		if seen[id] {
			t.Errorf("%s stands for two registries", id)
		}
		seen[id] = true
	}
}

// Promise: a file's path is taken as it stands, whatever characters it has, and no other file appears.
func TestFilePaths(t *testing.T) {
	for _, name := range []string{"plain.db", "with space.db", "per%20cent.db", "100%.db", "ha#sh.db", "am&per=sand.db", "ünï.db", "quo'te\".db", "plus+.db", "semi;colon.db"} {
		dir := t.TempDir()
		s := migrated(t, Options{URL: "file:" + filepath.Join(dir, name), Timeout: 7 * time.Second})
		importText(t, s, designDocument)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != name && e.Name() != name+"-wal" && e.Name() != name+"-shm" {
				t.Errorf("%s: there is a file %s", name, e.Name())
			}
		}
		if mode := one[string](t, s, `PRAGMA journal_mode`); mode != "wal" {
			t.Errorf("%s: journal mode %s", name, mode)
		}
		if keys := one[int](t, s, `PRAGMA foreign_keys`); keys != 1 {
			t.Errorf("%s: foreign keys are off", name)
		}
		if busy := one[int](t, s, `PRAGMA busy_timeout`); busy != 7000 { // the timeout of a call, in milliseconds
			t.Errorf("%s: busy timeout %d", name, busy)
		}
	}
}

// Promise: an operator is told when the token crosses a network in the clear, and only then.
func TestCleartextWarning(t *testing.T) {
	for _, test := range []struct {
		url, token string
		want       bool
	}{
		{"http://registry:8080", "t", true},
		{"ws://10.0.0.1:8080", "t", true},
		{"http://registry:8080", "", false},
		{"http://127.0.0.1:8080", "t", false},
		{"http://localhost:8080", "t", false},
		{"libsql://registry", "t", false},
	} {
		var b bytes.Buffer
		opened(t, Options{URL: test.url, AuthToken: test.token, Timeout: time.Second, Logger: slog.New(slog.NewTextHandler(&b, nil))})
		if got := strings.Contains(b.String(), "unencrypted"); got != test.want {
			t.Errorf("%s: %s", test.url, b.String())
		}
	}
}
