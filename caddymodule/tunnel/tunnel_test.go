package tunnel

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wait is long enough not to be waited for.
const wait = time.Minute

// client is the client's end of a tunnel, in memory.
type client struct {
	io.Reader
	mu   sync.Mutex
	got  bytes.Buffer
	fail error
}

func (c *client) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return 0, c.fail
	}
	return c.got.Write(p)
}

func (c *client) received() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.got.Bytes())
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}

// TestEnd keeps the promise that a close frame is sent between frames, once, with nothing after it.
func TestEnd(t *testing.T) {
	text := frame(0x81, "some text", false)
	closing := AppendClose(nil, PolicyViolation, "tenant_suspended")
	theirs := AppendClose(nil, 1000, "done")
	for _, tt := range []struct {
		name          string
		before, after [][]byte
		want          []byte
	}{
		{"before the first frame", nil, [][]byte{text}, closing},
		{"between frames", [][]byte{text}, [][]byte{text}, slices.Concat(text, closing)},
		{"inside a header", [][]byte{text, text[:1]}, [][]byte{text[1:], text}, slices.Concat(text, text, closing)},
		{"inside a payload", [][]byte{text[:5]}, [][]byte{text[5:8], text[8:], text}, slices.Concat(text, closing)},
		{"a chunk that goes on behind the frame", [][]byte{text[:5]}, [][]byte{slices.Concat(text[5:], text, text[:3])}, slices.Concat(text, closing)},
		{"after the upstream's close frame", [][]byte{text, theirs}, [][]byte{text}, slices.Concat(text, theirs)},
		{"inside the upstream's close frame", [][]byte{theirs[:3]}, [][]byte{theirs[3:], text}, theirs},
		{"between fragments", [][]byte{frame(0x01, "a", false)}, [][]byte{frame(0x80, "b", false)}, slices.Concat(frame(0x01, "a", false), closing)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &client{Reader: strings.NewReader("")}
			tunnel := New(c, func() { t.Error("aborted") })
			send := func(chunks [][]byte) {
				for _, chunk := range chunks {
					if n, err := tunnel.Write(chunk); n != len(chunk) || err != nil {
						t.Errorf("%d of %d bytes, %v", n, len(chunk), err)
					}
				}
			}
			send(tt.before)
			tunnel.End(PolicyViolation, "tenant_suspended", wait)
			tunnel.End(GoingAway, "another", wait)
			send(tt.after)
			eventually(t, "the close frame", func() bool { return bytes.Equal(c.received(), tt.want) })
			tunnel.Release()
			if err := tunnel.Flush(func() error { return errors.New("flushed") }); err != nil {
				t.Error("flushed after the end")
			}
			if got := c.received(); !bytes.Equal(got, tt.want) {
				t.Errorf("got  % x\nwant % x", got, tt.want)
			}
		})
	}
}

// TestEndUpstream keeps the promise that after the end the upstream gets whole frames only, then the client's close
// frame, and then nothing.
func TestEndUpstream(t *testing.T) {
	text := frame(0x81, "some text", true)
	echo := frame(0x88, "\x03\xf0tenant_suspended", true)
	for _, tt := range []struct {
		name   string
		before []byte // is read before the end
		after  []byte
		want   []byte // is read after it
		err    error
	}{
		{"the client agrees", nil, echo, echo, ErrEnded},
		{"between frames", text, slices.Concat(text, echo, text), echo, ErrEnded},
		{"inside a frame", text[:7], slices.Concat(text[7:], text, echo), slices.Concat(text[7:], echo), ErrEnded},
		{"the client goes", text, slices.Concat(text, text), nil, io.EOF},
	} {
		for _, one := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				var r io.Reader = bytes.NewReader(tt.after)
				if one {
					r = iotestOneByte{r}
				}
				c := &client{Reader: io.MultiReader(bytes.NewReader(tt.before), r)}
				tunnel := New(c, func() {})
				before := make([]byte, len(tt.before))
				if _, err := io.ReadFull(tunnel, before); err != nil || !bytes.Equal(before, tt.before) {
					t.Fatalf("before: % x, %v", before, err)
				}
				tunnel.End(PolicyViolation, "tenant_suspended", wait)
				var got []byte
				var err error
				for buf := make([]byte, 1000); err == nil; {
					var n int
					n, err = tunnel.Read(buf)
					got = append(got, buf[:n]...)
				}
				if !bytes.Equal(got, tt.want) || !errors.Is(err, tt.err) {
					t.Errorf("got  % x, %v\nwant % x, %v", got, err, tt.want, tt.err)
				}
			})
		}
	}
}

// iotestOneByte reads byte by byte.
type iotestOneByte struct{ io.Reader }

func (r iotestOneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

// TestAbort keeps the promise that a client that does not agree, or takes nothing, does not hold up the end.
func TestAbort(t *testing.T) {
	t.Run("does not answer", func(t *testing.T) {
		var aborted atomic.Bool
		tunnel := New(&client{Reader: strings.NewReader("")}, func() { aborted.Store(true) })
		tunnel.End(PolicyViolation, "", time.Millisecond)
		eventually(t, "the abort", aborted.Load)
	})
	t.Run("cannot be written to", func(t *testing.T) {
		var aborted atomic.Bool
		tunnel := New(&client{Reader: strings.NewReader(""), fail: io.ErrClosedPipe}, func() { aborted.Store(true) })
		tunnel.End(PolicyViolation, "", wait)
		eventually(t, "the abort", aborted.Load)
	})
	t.Run("takes nothing", func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		tunnel := New(ours, func() { ours.Close() })
		wrote := make(chan error, 1)
		go func() {
			_, err := tunnel.Write(frame(0x81, "nobody reads this", false))
			wrote <- err
		}()
		if _, err := theirs.Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
		tunnel.End(PolicyViolation, "", 10*time.Millisecond)
		if err := <-wrote; err == nil {
			t.Error("a write to a client that takes nothing has succeeded")
		}
	})
}

// TestHijacked keeps the promise that what a client has sent early is neither lost nor overlooked, and that half of a
// connection can be closed where that could be done before.
func TestHijacked(t *testing.T) {
	text := frame(0x81, "early", true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String()) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if _, err := far.Write(slices.Concat(text, text[:4])); err != nil {
		t.Fatal(err)
	}
	buffered := bufio.NewReader(near)
	if _, err := buffered.Peek(len(text) + 4); err != nil {
		t.Fatal(err)
	}
	conn, brw, tunnel := Hijacked(near, bufio.NewReadWriter(buffered, bufio.NewWriter(near)), func() { near.Close() })
	if got := brw.Reader.Buffered(); got != len(text)+4 {
		t.Fatalf("%d bytes are buffered", got)
	}
	tunnel.End(PolicyViolation, "tenant_suspended", wait)
	echo := frame(0x88, "\x03\xf0", true)
	if _, err := far.Write(slices.Concat(text[4:], text, echo)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(brw)
	if want := slices.Concat(text, text, echo); !bytes.Equal(got, want) || !errors.Is(err, ErrEnded) {
		t.Errorf("got  % x, %v\nwant % x", got, err, want)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, AppendClose(nil, PolicyViolation, "tenant_suspended")) {
		t.Errorf("the client got % x, %v", got, err)
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	conn, _, _ = Hijacked(ours, bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours)), func() {})
	if _, ok := conn.(interface{ CloseWrite() error }); ok {
		t.Error("half of a connection can be closed that has no halves")
	}
}

// FuzzEnd keeps the promise that whatever the upstream sends, and whenever the end comes, the client gets whole frames
// and then the close frame.
func FuzzEnd(f *testing.F) {
	f.Add([]byte{0, 5, 200, 17}, []byte{3, 50}, uint8(3))
	f.Fuzz(func(t *testing.T, sizes, cuts []byte, end uint8) {
		var stream []byte
		for _, size := range sizes {
			stream = append(stream, frame(0x82, strings.Repeat("x", int(size)), false)...)
		}
		c := &client{Reader: strings.NewReader("")}
		tunnel := New(c, func() {})
		at := 0
		for turn := 0; at < len(stream); turn++ {
			if turn == int(end) {
				tunnel.End(PolicyViolation, "reason", wait)
			}
			chunk := len(stream) - at
			if len(cuts) > 0 {
				chunk = min(chunk, 1+int(cuts[turn%len(cuts)]))
			}
			if n, err := tunnel.Write(stream[at : at+chunk]); n != chunk || err != nil {
				t.Fatalf("%d of %d bytes, %v", n, chunk, err)
			}
			at += chunk
		}
		tunnel.End(PolicyViolation, "reason", wait)
		closing := AppendClose(nil, PolicyViolation, "reason")
		eventually(t, "the close frame", func() bool { return bytes.HasSuffix(c.received(), closing) })
		sent := bytes.TrimSuffix(c.received(), closing)
		if !bytes.HasPrefix(stream, sent) {
			t.Fatal("the client got something that was not sent")
		}
		if whole := ends(sent); len(sent) > 0 && (len(whole) == 0 || whole[len(whole)-1] != len(sent)) {
			t.Fatalf("the close frame came after %d bytes, inside a frame", len(sent))
		}
	})
}
