package registry

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
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

// integer reads a whole number, written without fraction and exponent, that fits into 64 bits.
func (s *scanner) integer() (int64, error) {
	if err := s.expect("a number"); err != nil {
		return 0, err
	}
	text, err := s.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &typeError{want: "a whole number without fraction or exponent", got: text}
	}
	return n, nil
}

// number reads the text of a number (RFC 8259 §6).
func (s *scanner) number() (string, error) {
	s.text = s.text[:0]
	if s.next() == '-' {
		s.take()
	}
	if s.next() == '0' {
		s.take()
	} else if err := s.digits(); err != nil {
		return "", err
	}
	if s.next() == '.' {
		s.take()
		if err := s.digits(); err != nil {
			return "", err
		}
	}
	if c := s.next(); c == 'e' || c == 'E' {
		s.take()
		if c := s.next(); c == '+' || c == '-' {
			s.take()
		}
		if err := s.digits(); err != nil {
			return "", err
		}
	}
	return string(s.text), nil
}

// take moves the next byte to the text.
func (s *scanner) take() {
	s.text = append(s.text, s.buf[s.pos])
	s.pos++
}

func (s *scanner) digits() error {
	for n := 0; ; n++ {
		c := s.next()
		if c < '0' || c > '9' {
			if n == 0 {
				return s.fail("a digit")
			}
			return nil
		}
		if len(s.text) >= maxNumber {
			return &syntaxError{fmt.Sprintf("a number longer than %d characters", maxNumber)}
		}
		s.take()
	}
}

// str reads a string (RFC 8259 §7).
func (s *scanner) str() (string, error) {
	s.text = s.text[:0]
	s.pos++ // the quotation mark
	long := false
	for {
		if s.next(); s.pos == s.end {
			return "", s.fail("the end of a string")
		}
		// Runs of plain characters are copied in one go.
		i := s.pos
		for i < s.end && s.buf[i] != '"' && s.buf[i] != '\\' && s.buf[i] >= ' ' {
			i++
		}
		if long = long || len(s.text)+i-s.pos > maxScanned; long {
			s.text = s.text[:0]
		} else {
			s.text = append(s.text, s.buf[s.pos:i]...)
		}
		s.pos = i
		if i == s.end {
			continue
		}
		switch s.buf[i] {
		case '"':
			s.pos++
			if long {
				return "", errTooLong
			}
			if !utf8.Valid(s.text) {
				return "", &syntaxError{"a string that is not UTF-8"}
			}
			return string(s.text), nil
		case '\\':
			if err := s.escape(); err != nil {
				return "", err
			}
		default:
			return "", s.fail("a character of a string (control characters are written as escapes)")
		}
	}
}

// escape reads a backslash and what belongs to it.
func (s *scanner) escape() error {
	s.pos++
	c := s.next()
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		s.pos++
		return s.codePoint()
	default:
		return s.fail("an escape")
	}
	s.pos++
	s.text = append(s.text, c)
	return nil
}

// codePoint reads the four hex digits of an escape, and the second half of a surrogate pair.
func (s *scanner) codePoint() error {
	r, err := s.hex4()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if s.fill(2); s.end-s.pos < 2 || s.buf[s.pos] != '\\' || s.buf[s.pos+1] != 'u' {
			return &syntaxError{"half a surrogate pair in a string"}
		}
		s.pos += 2
		low, err := s.hex4()
		if err != nil {
			return err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return &syntaxError{"half a surrogate pair in a string"}
		}
	}
	s.text = utf8.AppendRune(s.text, r)
	return nil
}

func (s *scanner) hex4() (r rune, err error) {
	for range 4 {
		c := s.next()
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.fail("a hex digit")
		}
		r = r<<4 | rune(c)
		s.pos++
	}
	return r, nil
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
