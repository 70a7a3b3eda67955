package registry

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// readAny reads any value with the scanner. It does what skip does, and keeps what it finds.
func readAny(s *scanner) (v any, err error) {
	switch s.kind() {
	case "an object":
		m := map[string]any{}
		err = s.object(func(name string) (err error) {
			m[name], err = readAny(s)
			return err
		})
		return m, err
	case "a list":
		l := []any{}
		err = s.list(func(int) error {
			e, err := readAny(s)
			l = append(l, e)
			return err
		})
		return l, err
	case "a string":
		return s.str()
	case "a number":
		text, err := s.number()
		return json.Number(text), err
	case "null":
		return nil, s.word("null")
	case "true or false":
		return s.boolean()
	}
	return nil, s.fail("a value")
}

// Promise: what the scanner takes, encoding/json takes too and reads as the same value; what encoding/json takes, the
// scanner refuses only for being too deep, too long, or half a surrogate pair. How the stream is cut changes nothing.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		designDocument, `{}`, `[]`, ` [1, -0.5e+7, "a\u00e9\ud83d\ude00\n", true, false, null, {"a": {"b": []}}] `, `"`, `{"a":1,}`, `01`, `1.`, `-`,
		`"\ud800"`, `"\ud800\u0041"`, "\"\xff\"", "\"\x00\"", `nul`, `[1 2]`, `{"a" 1}`, `1e`, `1e5`, "\ufeff1", `"\x"`, `"\u12g4"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		read := func(in io.Reader) (any, error) {
			s := newScanner(in)
			v, err := readAny(s)
			if err == nil {
				err = s.finish()
			}
			return v, err
		}
		got, err := read(bytes.NewReader(text))
		again, errAgain := read(iotest.OneByteReader(bytes.NewReader(text)))
		if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(got, again) {
			t.Fatalf("byte by byte: %v %v, at once: %v %v", again, errAgain, got, err)
		}
		dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
		dec.UseNumber()
		var want any
		errWant := dec.Decode(&want)
		if errWant == nil {
			if _, more := dec.Token(); more != io.EOF {
				errWant = io.ErrUnexpectedEOF
			}
		}
		if err == nil && (errWant != nil || !reflect.DeepEqual(got, want)) {
			t.Fatalf("got %#v, encoding/json %#v %v", got, want, errWant)
		}
		if err != nil && errWant == nil && utf8.Valid(text) && !bytes.Contains(text, []byte(`\u`)) && len(text) < maxNumber {
			t.Fatalf("refused: %v; encoding/json reads %#v", err, want)
		}
	})
}

// Promise: a file that cannot be read to its end is an error that says so, never a shorter document.
func TestScannerReadError(t *testing.T) {
	in := io.MultiReader(strings.NewReader(`{"tenants": [`), iotest.ErrReader(io.ErrClosedPipe))
	_, err := ParseDocument(in)
	if err == nil || !strings.Contains(err.Error(), "the file cannot be read: io: read/write on closed pipe") {
		t.Error(err)
	}
}

// Promise: any document at all is read without a panic, and what is accepted survives being written and read again.
func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(designDocument))
	f.Add([]byte(`{"plans":[{"name":"a","quotas":{"maxStorage":1},"upstreams":["pool:x"]}],"tenants":[{"slug":"a","environments":[{"slug":"b","domains":["x.y"]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := ParseDocument(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeDocument(&b, doc); err != nil {
			t.Fatal(err)
		}
		again, err := ParseDocument(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("%v in %s", err, b.String())
		}
		var c bytes.Buffer
		if err := writeDocument(&c, again); err != nil || !bytes.Equal(b.Bytes(), c.Bytes()) {
			t.Fatalf("%v: %s then %s", err, b.String(), c.String())
		}
	})
}
