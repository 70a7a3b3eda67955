package registry

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// scanner reads one JSON value (RFC 8259) from a stream, piece by piece, as its caller asks for objects, arrays and
// scalars. It knows the line that it is at, keeps no more than one string in memory, and refuses what the standard
// leaves to the reader: names twice in an object (reported to the caller), text that is not UTF-8, unpaired surrogates.
type scanner struct {
	in   io.Reader
	buf  []byte
	pos  int // in buf
	end  int // of what is in buf
	eof  bool
	read error // of in, other than io.EOF
	line int
	text []byte // the string being read
	deep int    // objects and arrays that are open
}

const (
	scanBuffer = 64 << 10
	// maxNesting bounds objects and arrays in each other; the format has at most eight.
	maxNesting = 32
	// maxScanned is the longest string that is kept, in bytes. The format's own limits are lower.
	maxScanned = 64 << 10
	// maxNumber is the longest number, in bytes.
	maxNumber = 40
)

// syntaxError says that the text is no JSON. Nothing after it can be read.
type syntaxError struct{ text string }

func (e *syntaxError) Error() string { return e.text }

// typeError says that a value is not of the type that belongs there. The value has been read over.
type typeError struct{ want, got string }

func (e *typeError) Error() string { return "must be " + e.want + ", not " + e.got }

// errTooLong says that a string is longer than anything that the format allows. It has been read over.
var errTooLong = fmt.Errorf("must not be longer than %d bytes", maxScanned)

func newScanner(in io.Reader) *scanner {
	s := &scanner{in: in, buf: make([]byte, scanBuffer), line: 1}
	// RFC 8259 §8.1 allows to ignore a byte order mark, which some editors write.
	if s.fill(3); s.end-s.pos >= 3 && string(s.buf[s.pos:s.pos+3]) == "\ufeff" {
		s.pos += 3
	}
	return s
}

// fill makes at least n bytes available, unless the stream ends before.
func (s *scanner) fill(n int) {
	for s.end-s.pos < n && !s.eof {
		if s.pos > 0 {
			s.end = copy(s.buf, s.buf[s.pos:s.end])
			s.pos = 0
		}
		m, err := s.in.Read(s.buf[s.end:])
		s.end += m
		if err != nil {
			s.eof = true
			if !errors.Is(err, io.EOF) {
				s.read = err
			}
		}
	}
}

// next returns the next byte without taking it; 0 at the end.
func (s *scanner) next() byte {
	if s.pos == s.end {
		if s.fill(1); s.pos == s.end {
			return 0
		}
	}
	return s.buf[s.pos]
}

// token skips white space and returns the first byte after it without taking it; 0 at the end.
func (s *scanner) token() byte {
	for {
		switch c := s.next(); c {
		case '\n':
			s.line++
			s.pos++
		case ' ', '\t', '\r':
			s.pos++
		default:
			return c
		}
	}
}

// fail makes a syntax error of what was found at the current position.
func (s *scanner) fail(want string) error {
	c := s.next()
	switch {
	case s.read != nil:
		return &syntaxError{"the file cannot be read: " + s.read.Error()}
	case s.pos == s.end:
		return &syntaxError{"the file ends where " + want + " should be"}
	case c > ' ' && c <= '~':
		return &syntaxError{"not JSON: " + strconv.QuoteRune(rune(c)) + " where " + want + " should be"}
	}
	return &syntaxError{fmt.Sprintf("not JSON: byte 0x%02x where %s should be", c, want)}
}

// kind names the value that begins here.
func (s *scanner) kind() string {
	switch c := s.token(); {
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == '"':
		return "a string"
	case c == 't' || c == 'f':
		return "true or false"
	case c == 'n':
		return "null"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	}
	return ""
}

// expect checks that the value here is of a kind; if not, it reads over it.
func (s *scanner) expect(want string) error {
	got := s.kind()
	switch got {
	case want:
		return nil
	case "":
		return s.fail(want)
	}
	if err := s.skip(); err != nil {
		return err
	}
	return &typeError{want: want, got: got}
}

// open enters an object or a list.
func (s *scanner) open() error {
	if s.deep++; s.deep > maxNesting {
		return &syntaxError{fmt.Sprintf("more than %d objects and lists in each other", maxNesting)}
	}
	s.pos++
	return nil
}

// object reads an object and calls member for each name; member has to take the value.
func (s *scanner) object(member func(name string) error) error {
	if err := s.expect("an object"); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		c := s.token()
		if c == '}' && first {
			break
		}
		if c != '"' {
			return s.fail("a name in quotes")
		}
		name, err := s.str()
		if err != nil && !errors.Is(err, errTooLong) {
			return err
		}
		if s.token() != ':' {
			return s.fail("a colon")
		}
		s.pos++
		if err := member(name); err != nil {
			return err
		}
		if c = s.token(); c == '}' {
			break
		}
		if c != ',' {
			return s.fail("a comma or the end of the object")
		}
		s.pos++
	}
	s.pos++
	s.deep--
	return nil
}

// list reads a list and calls element for each of its values, which it has to take.
func (s *scanner) list(element func(i int) error) error {
	if err := s.expect("a list"); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		c := s.token()
		if c == ']' && i == 0 {
			break
		}
		if err := element(i); err != nil {
			return err
		}
		if c = s.token(); c == ']' {
			break
		}
		if c != ',' {
			return s.fail("a comma or the end of the list")
		}
		s.pos++
	}
	s.pos++
	s.deep--
	return nil
}

// skip reads over any value.
func (s *scanner) skip() error {
	switch s.kind() {
	case "an object":
		return s.object(func(string) error { return s.skip() })
	case "a list":
		return s.list(func(int) error { return s.skip() })
	case "a string":
		if _, err := s.str(); err != nil && !errors.Is(err, errTooLong) {
			return err
		}
		return nil
	case "a number":
		_, err := s.number()
		return err
	case "null":
		return s.word("null")
	case "true or false":
		_, err := s.boolean()
		return err
	}
	return s.fail("a value")
}

// isNull takes null when that is the value here.
func (s *scanner) isNull() (bool, error) {
	if s.token() != 'n' {
		return false, nil
	}
	return true, s.word("null")
}

// boolean reads true or false.
func (s *scanner) boolean() (bool, error) {
	if err := s.expect("true or false"); err != nil {
		return false, err
	}
	if s.next() == 't' {
		return true, s.word("true")
	}
	return false, s.word("false")
}

func (s *scanner) word(w string) error {
	for i := range len(w) {
		if s.next() != w[i] {
			return s.fail(w)
		}
		s.pos++
	}
	return nil
}

// finish checks that nothing but white space follows.
func (s *scanner) finish() error {
	if s.token(); s.pos < s.end {
		return s.fail("the end of the file")
	}
	if s.read != nil {
		return &syntaxError{"the file cannot be read: " + s.read.Error()}
	}
	return nil
}
