package fleet

import (
	"bytes"
	"math"
	"strings"
)

// What a reply may have at most; ours are far below. The client allocates by what lengths say, before anything has come.
const (
	maxReplyLine     = 64 << 10 // bytes of a simple string or an error
	maxReplyBulk     = 1 << 20  // bytes of a string with a length
	maxReplyElements = 1 << 16  // of one array; twice as many of a map
	maxReplyDepth    = 8        // arrays in arrays
	maxReply         = 16 << 20 // bytes altogether
	maxReplyWord     = 256      // bytes that are looked at
)

// reply is what matters of a reply: its type, and the text that it is or, of an array, the first in it.
type reply struct {
	kind byte
	word string
}

// replyScanner checks replies as they come, in pieces of any size: the protocol RESP3
// (https://redis.io/docs/latest/develop/reference/protocol-spec/), without what no Redis sends to us: attributes and strings
// of unknown length. The zero value is at the beginning of a reply.
type replyScanner struct {
	kind   byte    // of the value that is being read; 0 between two of them
	line   []byte  // what was read of a line so far
	bulk   int     // how many bytes of a string with a length are still to come, with the end of line; 0 outside
	open   []int64 // how many values each open array is still waiting for
	top    reply
	word   []byte
	worded bool // the first text has been read
	size   int
}

// scan calls each for each whole reply, and returns false once something is wrong, or each says so.
func (s *replyScanner) scan(b []byte, each func(*reply) bool) bool {
	for len(b) > 0 {
		var n int
		var ok bool
		switch {
		case s.kind == 0:
			n, ok = 1, s.begin(b[0])
		case s.bulk > 0:
			n, ok = s.readBulk(b, each)
		default:
			n, ok = s.readLine(b, each)
		}
		if s.size += n; !ok || s.size > maxReply {
			return false
		}
		if len(s.open) == 0 && s.kind == 0 {
			s.size = 0
		}
		b = b[n:]
	}
	return true
}

// begin takes the type of a value.
func (s *replyScanner) begin(kind byte) bool {
	switch {
	case strings.IndexByte("$+-:_,#!=(*%~>", kind) < 0:
		return false
	case kind == '>' && len(s.open) > 0:
		return false
	case len(s.open) > 0 && s.top.kind == '>' && !s.worded && kind != '$' && kind != '+': // it begins with its name
		return false
	}
	if len(s.open) == 0 {
		s.top = reply{kind: kind}
		s.word, s.worded = s.word[:0], false
	}
	s.kind, s.line = kind, s.line[:0]
	return true
}

// readLine takes bytes of a line, up to its end.
func (s *replyScanner) readLine(b []byte, each func(*reply) bool) (n int, ok bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		s.line = append(s.line, b...)
		return len(b), len(s.line) <= maxReplyLine
	}
	s.line = append(s.line, b[:end]...)
	last := len(s.line) - 1
	if last < 0 || s.line[last] != '\r' || last > maxReplyLine {
		return end + 1, false
	}
	return end + 1, s.lineEnds(s.line[:last], each)
}

// lineEnds takes a whole line, without its type and its end.
func (s *replyScanner) lineEnds(line []byte, each func(*reply) bool) bool {
	switch s.kind {
	case '+', '-', ',', '(':
		s.say(line)
		return s.valueEnds(each)
	case '_':
		return len(line) == 0 && s.valueEnds(each)
	case '#':
		return (string(line) == "t" || string(line) == "f") && s.valueEnds(each)
	}
	v, ok := parseLength(line)
	switch {
	case !ok:
		return false
	case s.kind == ':':
		return s.valueEnds(each)
	case v == -1 && (s.kind == '$' || s.kind == '*'): // null, as before RESP3
		return s.valueEnds(each)
	case v < 0:
		return false
	case s.kind == '$', s.kind == '!', s.kind == '=':
		s.bulk, s.line = int(min(v, maxReplyBulk+1))+2, s.line[:0]
		return v <= maxReplyBulk
	}
	if v > maxReplyElements || len(s.open) == maxReplyDepth {
		return false
	}
	if s.kind == '%' {
		v *= 2
	}
	if v == 0 {
		return s.valueEnds(each)
	}
	s.open, s.kind = append(s.open, v), 0
	return true
}

// readBulk takes bytes of a string with a length, and of the end of line behind it.
func (s *replyScanner) readBulk(b []byte, each func(*reply) bool) (n int, ok bool) {
	n = min(len(b), s.bulk)
	for i, c := range b[:n] {
		switch left := s.bulk - i; {
		case left == 2 && c != '\r', left == 1 && c != '\n':
			return n, false
		case left > 2 && len(s.line) < maxReplyWord:
			s.line = append(s.line, c)
		}
	}
	if s.bulk -= n; s.bulk > 0 {
		return n, true
	}
	s.say(s.line)
	return n, s.valueEnds(each)
}

// say keeps the first text of a reply.
func (s *replyScanner) say(text []byte) {
	if !s.worded {
		s.word, s.worded = append(s.word[:0], text[:min(len(text), maxReplyWord)]...), true
	}
}

// valueEnds ends a value, and with the last one in it also its array, and so on up to the reply.
func (s *replyScanner) valueEnds(each func(*reply) bool) bool {
	s.kind = 0
	s.worded = true // what is not the first is of no interest
	for len(s.open) > 0 {
		last := len(s.open) - 1
		if s.open[last]--; s.open[last] > 0 {
			return true
		}
		s.open = s.open[:last]
	}
	s.top.word = string(s.word)
	return each(&s.top)
}

// parseLength reads a whole number that fits into 64 bits.
func parseLength(digits []byte) (v int64, ok bool) {
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' || v > (math.MaxInt64-int64(c-'0'))/10 {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if negative {
		return -v, true
	}
	return v, true
}

// commandScanner finds the commands in what the client sends: arrays of strings with a length, in pieces of any size. The
// zero value is at the beginning of a command.
type commandScanner struct {
	line      []byte
	inBulk    bool
	left      int // bytes of a string and its end of line that are still to come
	arguments int // strings of the command that are still to come
	all       int
	name      []byte
}

// scan calls each for each command that has begun and whose name is known, with the number of its arguments.
func (s *commandScanner) scan(b []byte, each func(name string, arguments int)) {
	for len(b) > 0 {
		if s.inBulk {
			n := min(len(b), s.left)
			if s.arguments == s.all { // the name
				s.name = append(s.name, b[:n]...)
			}
			if s.left -= n; s.left == 0 {
				s.inBulk = false
				if s.arguments == s.all {
					each(string(s.name[:len(s.name)-2]), s.all-1)
				}
				s.arguments--
			}
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			s.line = append(s.line, b...)
			return
		}
		s.line = append(s.line, b[:end]...)
		b = b[end+1:]
		if len(s.line) > 1 {
			v, _ := parseLength(s.line[1 : len(s.line)-1])
			switch s.line[0] {
			case '*':
				s.all, s.arguments, s.name = int(v), int(v), s.name[:0]
			case '$':
				s.inBulk, s.left = true, int(v)+2
			}
		}
		s.line = s.line[:0]
	}
}
