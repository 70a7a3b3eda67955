package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of a token may nest.
const maxDepth = 32

// parseObject reads exactly one JSON object, more strictly than encoding/json does: a name that stands twice in one
// object is an error (RFC 7515 §4 and RFC 7519 §4 allow a parser to refuse it; two parsers that take different ones
// of the two see different tokens), as are invalid UTF-8, deep nesting and anything after the object. Numbers are
// json.Number.
func parseObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		// encoding/json quotes what it stumbles over, which may be a claim's value.
		var own *jsonError
		if errors.As(err, &own) {
			return nil, own
		}
		return nil, errors.New("not JSON")
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return object, nil
}

// jsonError is a fault that encoding/json does not find.
type jsonError struct{ text string }

func (e *jsonError) Error() string { return e.text }

// parseValue reads the value that comes next.
func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth++; depth > maxDepth {
		return nil, &jsonError{fmt.Sprintf("JSON nested deeper than %d", maxDepth)}
	}
	if delim == '{' {
		return parseMembers(d, depth)
	}
	list := []any{}
	for d.More() {
		v, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err = d.Token() // the closing bracket
	return list, err
}

// parseMembers reads an object whose opening brace has been read.
func parseMembers(d *json.Decoder, depth int) (map[string]any, error) {
	object := make(map[string]any)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, &jsonError{"a name in JSON must be a string"}
		}
		if _, twice := object[name]; twice {
			return nil, &jsonError{fmt.Sprintf("the name %s stands twice in one object", shown(name))}
		}
		if object[name], err = parseValue(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token() // the closing brace
	return object, err
}
