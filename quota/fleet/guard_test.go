package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// scanAll gives a text to a new scanner, piece by piece of some size, and returns the replies up to the first error.
func scanAll(text string, size int) (list []reply, ok bool) {
	var s replyScanner
	each := func(r *reply) bool {
		list = append(list, *r)
		return true
	}
	for b := []byte(text); len(b) > 0; {
		n := min(size, len(b))
		if !s.scan(b[:n], each) {
			return list, false
		}
		b = b[n:]
	}
	return list, true
}

// Promise: replies of a Redis pass, in pieces of any size, and what is none does not, before the client allocates what a
// length says.
func TestReplies(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string // kinds and first texts of the replies
		ok   bool
	}{
		{"+OK\r\n", "+OK", true},
		{"-ERR no\r\n:12\r\n:-12\r\n", "-ERR no :  : ", true},
		{"$5\r\nhello\r\n$0\r\n\r\n$-1\r\n_\r\n", "$hello $ $ _", true},
		{"*3\r\n:1\r\n$1\r\na\r\n*2\r\n+x\r\n_\r\n", "* ", true},
		{"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n~1\r\n#t\r\n*0\r\n*-1\r\n", "%server ~ * *", true},
		{">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n", ">message", true},
		{",1.5\r\n(123\r\n=5\r\ntxt:a\r\n!3\r\nERR\r\n", ",1.5 (123 =txt:a !ERR", true},
		{"", "", true},
		{"*2\r\n:1\r\n", "", true}, // more may come

		{"HTTP/1.1 400 Bad Request\r\n", "", false},
		{"SSH-2.0\r\n", "", false},
		{"$9999999999\r\n", "", false},
		{"$99999999999999999999999\r\n", "", false},
		{"$1048577\r\n", "", false},
		{"$-2\r\n", "", false},
		{"*-2\r\n", "", false},
		{"%-1\r\n", "", false},
		{"*65537\r\n", "", false},
		{strings.Repeat("*1\r\n", maxReplyDepth+1), "", false},
		{strings.Repeat("+a", maxReplyLine), "", false},
		{"*2\r\n:x\r\n", "", false},
		{":\r\n", "", false},
		{"+OK\n", "", false},
		{"$2\r\nabcd\r\n", "", false},
		{"$2\r\nab\n\n", "", false},
		{"#x\r\n", "", false},
		{"_x\r\n", "", false},
		{"$?\r\n", "", false},
		{"|1\r\n+a\r\n+b\r\n", "", false},
		{"*1\r\n>1\r\n+a\r\n", "", false},
		{">1\r\n*1\r\n+subscribe\r\n", "", false},
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			list, ok := scanAll(tt.text, size)
			var got []string
			for _, r := range list {
				got = append(got, string(r.kind)+r.word)
			}
			if want := strings.Fields(tt.want); ok != tt.ok || tt.ok && strings.Join(got, " ") != strings.Join(want, " ") && strings.TrimSpace(strings.Join(got, " ")) != strings.TrimSpace(tt.want) {
				t.Errorf("%.40q in pieces of %d: %q, %v, want %q, %v", tt.text, size, got, ok, tt.want, tt.ok)
			}
		}
	}
}

// A reply whose pieces are many is bounded as a whole.
func TestReplyIsBounded(t *testing.T) {
	var s replyScanner
	text := []byte("*1000\r\n")
	piece := []byte(fmt.Sprintf("$%d\r\n%s\r\n", maxReplyBulk, strings.Repeat("x", maxReplyBulk)))
	ok := s.scan(text, nil)
	n := 0
	for ; ok && n < 1000; n++ {
		ok = s.scan(piece, nil)
	}
	if ok || n > maxReply/maxReplyBulk+1 {
		t.Errorf("%d pieces of 1 MB passed", n)
	}
}

// Promise: what the client sends is understood, in pieces of any size.
func TestCommands(t *testing.T) {
	text := "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n" + "*1\r\n$4\r\nPING\r\n" + "*3\r\n$9\r\nSUBSCRIBE\r\n$4\r\n\r\n\r\n\r\n$1\r\nb\r\n" + "*1\r\n$4\r\nQUIT\r\n"
	for _, size := range []int{1, 2, 5, 1000} {
		var s commandScanner
		var got []string
		for b := []byte(text); len(b) > 0; {
			n := min(size, len(b))
			s.scan(b[:n], func(name string, arguments int) { got = append(got, fmt.Sprint(name, arguments)) })
			b = b[n:]
		}
		if want := "HELLO1 PING0 SUBSCRIBE2 QUIT0"; strings.Join(got, " ") != want {
			t.Errorf("in pieces of %d: %q, want %s", size, got, want)
		}
	}
}

// Promise: a reply passes only as the answer to something that was sent, and to nothing that it cannot be the answer to.
func TestGuardAccepts(t *testing.T) {
	const subscribed = ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	const message = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"
	for _, tt := range []struct {
		sent, answer string
		ok           bool
	}{
		{"GET a", "$1\r\nx\r\n", true},
		{"GET a", "-ERR unknown command\r\n", true},
		{"GET a|GET b", "$1\r\nx\r\n_\r\n", true},
		{"GET a", message + "_\r\n" + message, true},
		{"SUBSCRIBE a", message + subscribed, true},
		{"SUBSCRIBE a b|GET a", subscribed + subscribed + "_\r\n", true},
		{"SUBSCRIBE a", "-NOPERM no\r\n", true},
		{"UNSUBSCRIBE|PING", ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n+PONG\r\n", true},
		{"HELLO 3", "%0\r\n", true},
		{"HELLO 3", "-NOAUTH no\r\n", true},

		{"", "+OK\r\n", false},
		{"GET a", "+OK\r\n+OK\r\n", false},
		{"GET a", subscribed, false},
		{"GET a|SUBSCRIBE a", subscribed, false},
		{"SUBSCRIBE a", subscribed + subscribed, false},
		{"SUBSCRIBE a", "+QUEUED\r\n", false},
		{"PSUBSCRIBE a", subscribed, false},
		{"UNSUBSCRIBE|PING", "-NOPERM no\r\n", false},
		{"UNSUBSCRIBE|PING", "+OK\r\n", false},
		{"HELLO 3", "+OK\r\n", false},
		{"HELLO 3", "-ERR unknown command 'HELLO'\r\n", false},
	} {
		client, server := net.Pipe()
		c := &guardedConn{Conn: client}
		go func() {
			for command := range strings.SplitSeq(tt.sent, "|") {
				if words := strings.Fields(command); len(words) > 0 {
					text := fmt.Sprintf("*%d\r\n", len(words))
					for _, w := range words {
						text += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
					}
					_, _ = c.Write([]byte(text))
				}
			}
			_, _ = server.Write([]byte(tt.answer))
			_ = server.Close()
		}()
		go func() { // what is sent
			buf := make([]byte, 1<<10)
			for {
				if _, err := server.Read(buf); err != nil {
					return
				}
			}
		}()
		var got strings.Builder
		buf := make([]byte, 7)
		var err error
		for err == nil {
			var n int
			n, err = c.Read(buf)
			got.Write(buf[:n])
		}
		if passed := !errors.Is(err, errNoRedis); passed != tt.ok || tt.ok && got.String() != tt.answer {
			t.Errorf("%q answered with %q: %v after %q, want passed %v", tt.sent, tt.answer, err, got.String(), tt.ok)
		}
		_ = client.Close()
	}
}

// answering makes a client whose every connection is answered with the same text, as often as something comes.
func answering(t testing.TB, text string) (rueidis.Client, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback, at once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4<<10)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write([]byte(text)); err != nil {
						return
					}
				}
			}()
		}
	}()
	o := clientOption(&Options{Address: Address{Hosts: []string{ln.Addr().String()}}, Timeout: 50 * time.Millisecond})
	return rueidis.NewClient(o)
}

// hello is what a Redis answers to what the client says first; the rest of a text comes after it.
const hello = "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n+OK\r\n+OK\r\n+OK\r\n"

// FuzzGuard holds the promise that no answer of Redis, whatever it is, ends the process.
func FuzzGuard(f *testing.F) {
	for _, text := range []string{
		"", "+OK\r\n", "+OK\r\n+OK\r\n", "$9999999999\r\n", "*-5\r\n", "*2\r\n:x\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
		hello, hello + "+QUEUED\r\n", hello + ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", hello + "+PONG\r\n_\r\n",
		hello + strings.Repeat("*1\r\n", 1000), hello + "%9223372036854775807\r\n", hello + ">1\r\n_\r\n>0\r\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		client, err := answering(t, text)
		if err != nil {
			return
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		for range 3 {
			_ = client.Do(ctx, client.B().Get().Key("a").Build())
		}
		_ = client.Receive(ctx, client.B().Subscribe().Channel("a").Build(), func(rueidis.PubSubMessage) {})
	})
}
