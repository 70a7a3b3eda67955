package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// How many streams are held open, over all gateways.
const (
	steadyEvents     = 8
	steadyWebSockets = 8
	movingEvents     = 8
)

// streams holds streams open: each for a while, and then another one.
type streams struct {
	*world
	tally *tally
	grace time.Duration
	// most is the longest that one is held.
	most time.Duration
}

// opened is a stream of a client: next waits for a message.
type opened struct {
	next  func() (message, error)
	close func()
}

// hold keeps one stream of a kind open until the context ends.
func (s *streams) hold(ctx context.Context, kind string, pick func() *reference, open func(context.Context, *gateway, *job) (*opened, int, error)) {
	for ctx.Err() == nil {
		r := pick()
		if r == nil {
			pause(ctx, time.Second)
			continue
		}
		g := s.system.gateways[rand.IntN(len(s.system.gateways))]
		span := s.most/10 + rand.N(s.most)
		streamCtx, cancel := context.WithTimeout(ctx, span)
		began := time.Now()
		how, err := s.follow(streamCtx, g, r, open)
		cancel()
		s.tally.request(kind, 0, how, 0)
		if err != nil {
			s.tally.fail(kind, when{began, time.Now()}, fmt.Errorf("gateway %d: %w", g.number+1, err))
		}
		pause(ctx, time.Second)
	}
}

// follow opens a stream and reads it until it ends, or the context does. It says how it ended, and what was wrong with that.
func (s *streams) follow(ctx context.Context, g *gateway, r *reference, open func(context.Context, *gateway, *job) (*opened, int, error)) (how string, err error) {
	began := time.Now()
	stream, status, err := open(ctx, g, naming(r))
	switch {
	case err != nil && ctx.Err() != nil:
		return "given up", nil
	case err != nil && g.down.touch(began, time.Now(), time.Second):
		return "gateway down", nil
	case err != nil && status != 0 && !r.steady:
		return "refused", nil
	case err != nil:
		return "not opened", fmt.Errorf("%s %s, after %s: %w", r.kind, r.value, time.Since(began).Round(time.Millisecond), err)
	}
	defer stream.close()
	last := began
	for {
		m, err := stream.next()
		now := time.Now()
		if err != nil {
			return s.ended(ctx, g, r, when{began, now}, last, err)
		}
		if err := s.message(g, r, began, m); err != nil {
			return "wrong", err
		}
		last = now
	}
}

// message checks that what is said on a stream is said to those who may still hear it.
func (s *streams) message(g *gateway, r *reference, began time.Time, m message) error {
	certain := s.system.certain(g, s.grace)
	for _, p := range r.leads.possible(m.At, time.Now(), certain) {
		if p == nil || !p.served(m.Echo) {
			continue
		}
		for _, st := range p.state.possible(m.At, time.Now(), certain) {
			if st.status == active {
				return nil
			}
		}
	}
	for _, p := range r.leads.possible(began, time.Now(), certain) {
		if p != nil && p.served(m.Echo) {
			return fmt.Errorf("%s %s: a stream of %s is open %s after it should have been closed; its tenant is %s, it leads to it: %t", r.kind, r.value,
				time.Since(began).Round(time.Second), s.grace, p.state.last().status, r.leads.last() == p)
		}
	}
	return &wrongTenant{fmt.Sprintf("%s %s: a stream of tenant %q", r.kind, r.value, m.Echo.Values("X-Tenant-ID"))}
}

// ended says why a stream ended, and what is wrong with that: it has to go on as long as a new request would be served.
func (s *streams) ended(ctx context.Context, g *gateway, r *reference, w when, last time.Time, err error) (string, error) {
	switch {
	case ctx.Err() != nil:
		return "held to its end", nil
	case g.down.touch(w.from, w.to, time.Second):
		return "gateway restarted", nil
	}
	var closed websocket.CloseError
	if errors.As(err, &closed) && g.reloads.touch(w.from, w.to, 2*time.Minute) && closed.Code != websocket.StatusPolicyViolation {
		return "closed after a reload", nil
	}
	certain := s.system.certain(g, s.grace)
	for _, p := range r.leads.possible(last.Add(-s.grace), w.to, certain) {
		if p == nil {
			return "closed after a change", nil
		}
		for _, st := range p.state.possible(last.Add(-s.grace), w.to, certain) {
			if st.status != active {
				return "closed after a change", nil
			}
		}
	}
	return "closed", fmt.Errorf("%s %s: a stream was closed after %s, %s after its last message, without a reason: %w", r.kind, r.value,
		w.to.Sub(w.from).Round(time.Second), w.to.Sub(last).Round(time.Millisecond), err)
}

// openEvents asks for server-sent events.
func openEvents(ctx context.Context, g *gateway, j *job) (*opened, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+pathEvents, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	req.Host, req.Header = j.ask.Host, j.headers()
	resp, err := streamClient.Do(req) //nolint:bodyclose // closed with what is returned
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close() //nolint:errcheck // read only
		return nil, resp.StatusCode, fmt.Errorf("status %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &opened{
		next: func() (m message, err error) {
			for lines.Scan() {
				if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					return m, json.Unmarshal([]byte(text), &m)
				}
			}
			return m, errors.Join(errors.New("the stream has ended"), lines.Err())
		},
		close: func() { resp.Body.Close() }, //nolint:errcheck // read only
	}, 0, nil
}

// streamClient has no timeout, and a connection for each stream.
var streamClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// openWebSocket opens a WebSocket; one message a second goes each way.
func openWebSocket(ctx context.Context, g *gateway, j *job) (*opened, int, error) {
	//nolint:bodyclose // there is none with an upgrade
	conn, resp, err := websocket.Dial(ctx, "ws://"+g.address+pathWebSocket, &websocket.DialOptions{
		Host: j.ask.Host, HTTPHeader: j.headers(), HTTPClient: streamClient,
	})
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		return nil, status, err
	}
	conn.SetReadLimit(1 << 20)
	first := true
	return &opened{
		next: func() (m message, err error) {
			if !first {
				pause(ctx, time.Second)
			}
			first = false
			if err := conn.Write(ctx, websocket.MessageText, []byte("soak")); err != nil {
				// Why it was closed says the frame that came.
				if _, _, why := conn.Read(ctx); why != nil {
					err = why
				}
				return m, err
			}
			_, text, err := conn.Read(ctx)
			if err != nil {
				return m, err
			}
			return m, json.Unmarshal(text, &m)
		},
		close: func() { conn.CloseNow() }, //nolint:errcheck // it may be closed
	}, 0, nil
}

// headers are the job's, in their usual spelling.
func (j *job) headers() http.Header {
	h := http.Header{}
	for name, value := range j.ask.Header {
		h.Set(name, value)
	}
	return h
}
