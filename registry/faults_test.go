package registry

import (
	"bufio"
	"context"
	"crypto/sha1"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/sqld"
)

// callAll calls every method that asks the registry, and hands on what it is called and the error.
func callAll(ctx context.Context, s *Store, each func(name string, call func() error)) {
	each("Migrate", func() error { return s.Migrate(ctx) })
	s.ready.Store(true) // as if it had been reached before
	each("Resolve", func() error {
		_, err := s.Resolve(ctx, Reference{Kind: KindSlug, Key: "acme"})
		return err
	})
	each("Changes", func() error {
		_, err := s.Changes(ctx, 0, 10)
		return err
	})
	each("TrimChanges", func() error {
		_, err := s.TrimChanges(ctx, time.Now())
		return err
	})
	each("Import", func() error {
		_, err := s.Import(ctx, strings.NewReader(designDocument), ImportOptions{})
		return err
	})
	each("Export", func() error { return s.Export(ctx, io.Discard) })
	each("transact", func() error { return s.transact(ctx, func(*sql.Tx) error { return nil }) })
}

// hungServer accepts connections and never says anything.
func hungServer(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return l.Addr()
}

// Promise: a server that accepts and never answers holds nobody longer than the timeout, in no method.
func TestHungServer(t *testing.T) {
	const timeout = 200 * time.Millisecond
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			s := opened(t, Options{URL: scheme + "://" + hungServer(t).String(), Timeout: timeout})
			callAll(t.Context(), s, func(name string, call func() error) {
				begin := time.Now()
				err := call()
				if took := time.Since(begin); took > tooLong {
					t.Errorf("%s took %s", name, took)
				}
				if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 200ms") {
					t.Errorf("%s: %v", name, err)
				}
			})
			// A caller who has less time gets the answer earlier, and one who gives up at once.
			patient := opened(t, Options{URL: scheme + "://" + hungServer(t).String(), Timeout: 2 * tooLong})
			patient.ready.Store(true)
			for name, ctx := range map[string]func() (context.Context, context.CancelFunc){
				"deadline": func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), timeout/10) },
				"cancel": func() (context.Context, context.CancelFunc) {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(timeout/10, cancel)
					return ctx, cancel
				},
			} {
				ctx, cancel := ctx()
				begin := time.Now()
				_, err := patient.Resolve(ctx, Reference{Kind: KindSlug, Key: "acme"})
				cancel()
				if took := time.Since(begin); !errors.Is(err, ErrUnavailable) || took > tooLong {
					t.Errorf("%s: %v after %s", name, err, took)
				}
			}
		})
	}
}

// Promise: many calls to a server that hangs leave a bounded number of attempts to connect behind.
func TestHungServerDials(t *testing.T) {
	s := opened(t, Options{URL: "ws://" + hungServer(t).String(), Timeout: time.Millisecond})
	s.ready.Store(true)
	var last error
	for range 3 * maxDials {
		_, last = s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"})
	}
	if !errors.Is(last, ErrUnavailable) || !strings.Contains(last.Error(), "has not answered earlier attempts") {
		t.Error(last)
	}
}

// Promise: a server that stops answering in the middle of a transaction holds nobody, at no step of it, and what was
// not committed is not there afterwards.
func TestServerHangsInTransaction(t *testing.T) {
	const timeout = 500 * time.Millisecond
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			srv := sqld.Start(t, sqld.Options{})
			o := Options{URL: srv.URL(), AuthToken: srv.Token(nil), Timeout: timeout}
			if scheme == "ws" {
				o.URL = srv.WSURL()
			}
			patient := o
			patient.Timeout = 0
			migrated(t, patient)
			s := opened(t, o)
			s.ready.Store(true)
			for _, step := range []string{"begin", "statement", "rollback", "commit"} {
				begin := time.Now()
				pause := func(at string) {
					if step == at {
						srv.Pause(t)
						begin = time.Now()
					}
				}
				pause("begin")
				err := s.transact(t.Context(), func(tx *sql.Tx) error {
					pause("statement")
					if _, err := s.execOn(t.Context(), tx, `INSERT INTO sys_plan (name) VALUES ('p')`); err != nil {
						return err
					}
					pause("rollback")
					pause("commit")
					if step == "rollback" {
						return errors.New("no")
					}
					return nil
				})
				took := time.Since(begin)
				srv.Resume(t)
				if took > tooLong {
					t.Errorf("%s: took %s", step, took)
				}
				if step == "rollback" {
					if err == nil {
						t.Error("rollback: no error")
					}
				} else if !errors.Is(err, ErrUnavailable) {
					t.Errorf("%s: %v", step, err)
				}
				waitFor(t, func() bool { // the server may still be busy with what it was asked before it was paused
					_, err := s.Changes(t.Context(), 0, 1)
					return err == nil
				})
				if step != "commit" { // whose outcome nobody can know
					if n := one[int](t, s, `SELECT count(*) FROM sys_plan`); n != 0 {
						t.Errorf("%s: it was written all the same", step)
					}
				}
			}
		})
	}
}

// Promise: a transaction that the server takes away, because it lasts too long and another writer waits, writes nothing
// at all, even when its statements go on; and the error says that trying again may help.
func TestServerTakesTransactionAway(t *testing.T) {
	srv := sqld.Start(t, sqld.Options{})
	s := migrated(t, Options{URL: srv.URL(), AuthToken: srv.Token(nil), Timeout: 30 * time.Second})
	err := s.transact(t.Context(), func(tx *sql.Tx) error {
		insert := func(name string) error {
			_, err := s.execOn(t.Context(), tx, `INSERT INTO sys_plan (name) VALUES (?1)`, name)
			return err
		}
		if err := insert("one"); err != nil {
			return err
		}
		if err := try(t, s, `INSERT INTO sys_plan (name) VALUES ('other')`); err != nil { // after 5 s it gets the lock
			t.Error(err)
		}
		if err := insert("two"); !errors.Is(err, errLock) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if err := insert("three"); err == nil {
			t.Error("a statement after the transaction's end took effect")
		}
		return nil
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if got := one[string](t, s, `SELECT group_concat(name) FROM sys_plan`); got != "other" {
		t.Errorf("there are %s", got)
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("the condition never held")
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Promise: a server that is down is an error at once; when it is back, so is the store, without an error for anyone who
// reads, although all its idle connections are dead.
func TestServerRestart(t *testing.T) {
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			srv := sqld.Start(t, sqld.Options{})
			o := Options{URL: srv.URL(), AuthToken: srv.Token(nil)}
			if scheme == "ws" {
				o.URL = srv.WSURL()
			}
			s := migrated(t, o)
			importText(t, s, designDocument)
			resolve := func() error {
				_, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"})
				return err
			}
			// Several idle connections.
			errs := make(chan error)
			for range 8 {
				go func() { errs <- resolve() }()
			}
			for range 8 {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
			srv.Restart(t)
			for range 20 {
				if err := resolve(); err != nil {
					t.Errorf("after a restart: %v", err)
				}
			}
			srv.Restart(t)
			if _, err := s.Import(t.Context(), strings.NewReader(`{"tenants": [{"slug": "new"}]}`), ImportOptions{}); err != nil {
				t.Errorf("after a restart: %v", err)
			}
			srv.Stop()
			begin := time.Now()
			callAll(t.Context(), s, func(name string, call func() error) {
				err := call()
				if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "connection refused: check the URL and that the server runs") {
					t.Errorf("%s: %v", name, err)
				}
			})
			if took := time.Since(begin); took > tooLong {
				t.Errorf("took %s", took)
			}
			srv.Restart(t)
			if err := resolve(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Promise: a refused token is an error that says so and what to do, and never shows the token.
func TestUnauthorized(t *testing.T) {
	srv := sqld.Start(t, sqld.Options{})
	for name, token := range map[string]string{
		"foreign": srv.ForeignToken(), "expired": srv.Token(map[string]any{"exp": 1000}), "garbage": "hunter2hunter2", "none": "",
	} {
		for _, url := range []string{srv.URL(), srv.WSURL()} {
			s := opened(t, Options{URL: url, AuthToken: token})
			callAll(t.Context(), s, func(method string, call func() error) {
				err := call()
				if !errors.Is(err, ErrUnauthorized) || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "auth_token") {
					t.Errorf("%s, %s: %v", name, method, err)
				}
				if err != nil && token != "" && strings.Contains(err.Error(), token) {
					t.Errorf("%s, %s: the error shows the token: %v", name, method, err)
				}
			})
		}
	}
}

// Promise: with a token that may only read, everything that need not write works: a gateway on an up-to-date registry,
// and an import that finds nothing to do.
func TestReadOnlyToken(t *testing.T) {
	srv := sqld.Start(t, sqld.Options{})
	writer := migrated(t, Options{URL: srv.URL(), AuthToken: srv.Token(nil)})
	importText(t, writer, designDocument)
	for _, url := range []string{srv.URL(), srv.WSURL()} {
		s := migrated(t, Options{URL: url, AuthToken: srv.Token(map[string]any{"a": "ro"})})
		if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); err != nil {
			t.Error(err)
		}
		if report := importText(t, s, designDocument); report.Changed() {
			t.Errorf("got %+v", report)
		}
		if err := s.Export(t.Context(), io.Discard); err != nil {
			t.Error(err)
		}
		_, err := s.Import(t.Context(), strings.NewReader(`{"tenants": [{"slug": "new"}]}`), ImportOptions{})
		if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "a token that may read and write is needed") {
			t.Error(err)
		}
	}
}

// Promise: a server that answers nonsense is an error that says nothing about the data; it never ends the process.
func TestNonsense(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON": "<html>", "empty": "", "empty object": "{}", "no results": `{"results": []}`, "null": "null",
		"wrong types":  `{"baton": null, "results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": 7}}}]}`,
		"short row":    `{"results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": [{"name": "a"}], "rows": [[]], "affected_row_count": 0}}}]}`,
		"other values": `{"results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": [{"name": "a"}], "rows": [[{"type": "integer", "value": 7}]], "affected_row_count": 0}}}]}`,
	} {
		t.Run("http "+name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
			defer srv.Close()
			s := opened(t, Options{URL: srv.URL, AuthToken: "hunter2hunter2"})
			callAll(t.Context(), s, func(method string, call func() error) {
				err := call()
				if err == nil && method == "TrimChanges" && strings.Contains(body, "affected_row_count") {
					return // for a DELETE, this is sense
				}
				if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s: %v", method, err)
				}
			})
		})
	}
	for name, messages := range map[string][]string{
		"no hello": {`"x"`}, "null": {`null`, `null`}, "no JSON": {`{`}, "list": {`[]`, `[]`},
		"then nonsense": {`{"type": "hello_ok"}`, `{"type": "response_ok"}`, `[]`},
		"no result":     {`{"type": "hello_ok"}`, `{"type": "response_ok"}`, `{"type": "response_ok", "response": {}}`},
		"no error text": {`{"type": "hello_ok"}`, `{"type": "response_ok"}`, `{"type": "response_error"}`},
	} {
		t.Run("ws "+name, func(t *testing.T) {
			s := opened(t, Options{URL: webSocketServer(t, messages), Timeout: 50 * time.Millisecond})
			s.ready.Store(true)
			for range 20 { // more than there are connections
				if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
			}
		})
	}
}

// webSocketServer takes WebSocket connections (RFC 6455 §4.2.2) and sends these messages, whatever it is asked. It
// returns its URL.
func webSocketServer(t *testing.T, messages []string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		b := bufio.NewWriter(rw)
		fmt.Fprint(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: hrana1\r\n"+
			"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
		for _, m := range messages {
			b.Write([]byte{0x81, byte(len(m))}) // a text frame of less than 126 bytes
			fmt.Fprint(b, m)
		}
		if err := b.Flush(); err != nil {
			return // the client has given up
		}
		io.Copy(io.Discard, c)
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

// Promise: what is wrong with a file is said in a way that helps.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.db")
	db, err := sql.Open("sqlite", other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE sys_organization (id TEXT)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, test := range []struct{ path, want string }{
		{text, "the file is not an SQLite database: check the path"},
		{other, "the database is in use by something else"},
		{filepath.Join(dir, "none", "x.db"), "the file cannot be opened: check that its directory exists"},
		{dir, "the file cannot be opened"},
	} {
		s := opened(t, Options{URL: "file:" + test.path})
		err := s.Migrate(t.Context())
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
		if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("an unusable registry resolves: %v", err)
		}
	}
}

// Promise: a file that another process keeps locked is an error after the timeout, not a wait without end.
func TestLockedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	other := migrated(t, Options{URL: "file:" + path, Timeout: tooLong})
	importText(t, other, designDocument)
	s := opened(t, Options{URL: "file:" + path, Timeout: 200 * time.Millisecond})
	s.ready.Store(true)
	err := other.transact(t.Context(), func(*sql.Tx) error {
		begin := time.Now()
		_, err := s.Import(t.Context(), strings.NewReader(`{"tenants": [{"slug": "new"}]}`), ImportOptions{})
		if !errors.Is(err, ErrUnavailable) || time.Since(begin) > tooLong {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		_, err = other.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"})
		return err // who reads need not wait
	})
	if err != nil {
		t.Error(err)
	}
}
