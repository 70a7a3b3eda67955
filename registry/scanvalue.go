package registry

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

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
