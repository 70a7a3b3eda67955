package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/tenantgate/tenantgate/test/harness"
)

// upstream is a server behind the gateways. It answers with what it was told.
type upstream struct {
	name, address string
	// slow takes a while for each answer.
	slow bool

	mu     sync.Mutex
	server *http.Server // nil: down
	// down are the stretches in which it did not serve.
	down spans
}

// startUpstream starts one; it serves until down is called.
func startUpstream(name string, slow bool) (*upstream, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	u := &upstream{name: name, address: address, slow: slow}
	return u, u.up()
}

// up listens, at the start and after it was down.
func (u *upstream) up() error {
	l, err := net.Listen("tcp", u.address) //nolint:noctx // loopback, answered at once
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: time.Minute}
	go u.server.Serve(l) //nolint:errcheck // it ends with Close
	return nil
}

// die closes the listener and all connections, as the end of a process does.
func (u *upstream) die() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.server.Close() //nolint:errcheck // what is open is to be cut
}

// The paths of an upstream. All others answer with what was received.
const (
	pathDownload  = "/download"  // ?bytes=N
	pathEvents    = "/events"    // server-sent events, one a second
	pathWebSocket = "/websocket" // says who it is for, then sends back what comes
)

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if u.slow {
		select {
		case <-time.After(time.Duration(100+rand.IntN(500)) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	switch r.URL.Path {
	case pathDownload:
		u.download(w, r)
	case pathEvents:
		u.events(w, r)
	case pathWebSocket:
		u.webSocket(w, r)
	default:
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(u.echo(r, digest(n, sum))) //nolint:errcheck // the client is gone
	}
}

// digest is what an upstream says of a body.
func digest(n int64, sum hash.Hash) string {
	return strconv.FormatInt(n, 10) + " " + hex.EncodeToString(sum.Sum(nil))
}

func (u *upstream) echo(r *http.Request, body string) harness.Echo {
	return harness.Echo{
		Upstream: u.name, Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header, Trailer: r.Trailer, Body: body,
	}
}

// download answers with as many bytes as asked for, and with the echo in a header.
func (u *upstream) download(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text, err := json.Marshal(u.echo(r, ""))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Upstream-Echo", string(text))
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	io.CopyN(w, filler{}, n) //nolint:errcheck // the client is gone
}

// filler reads as spaces without end.
type filler struct{}

func (filler) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// message is what a stream says: who it is for, and when it was said.
type message struct {
	Echo harness.Echo
	At   time.Time
}

// events sends one message a second.
func (u *upstream) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		text, err := json.Marshal(message{u.echo(r, ""), time.Now()})
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// webSocket answers every message with one of its own.
func (u *upstream) webSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // whatever is still open
	ctx := context.WithoutCancel(r.Context())
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return
		}
		text, err := json.Marshal(message{u.echo(r, ""), time.Now()})
		if err != nil || conn.Write(ctx, websocket.MessageText, text) != nil {
			return
		}
	}
}
