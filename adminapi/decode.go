package adminapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenantgate/tenantgate/registry"
)

// fields are those that a JSON object can have, and what reads the value of each.
type fields map[string]func(place string, value json.RawMessage) error

// decode reads a JSON object strictly: RFC 8259, each member at most once and only known ones, nothing after it. An empty
// text is no object.
func decode(body []byte, f fields) error {
	if err := decodeObject(body, f); err != nil {
		return &bodyError{err}
	}
	return nil
}

func decodeObject(body []byte, f fields) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return invalid("", "a JSON object is needed")
	}
	if !utf8.Valid(body) {
		return invalid("", "the text is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := object(d, "", f); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("", "there is something after the JSON object")
	}
	return nil
}

// object reads one object; place is its own.
func object(d *json.Decoder, place string, f fields) error {
	start, err := d.Token()
	if err != nil {
		return syntax(place, d, err)
	}
	if start != json.Delim('{') {
		return invalid(place, "must be an object")
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return syntax(place, d, err)
		}
		name := token.(string) // the decoder sees to it
		at := name
		if place != "" {
			at = place + "." + name
		}
		read := f[name]
		switch {
		case read == nil:
			known := slices.Sorted(maps.Keys(f))
			return &registry.FieldError{Field: short(at), Code: registry.CodeUnknownField, Message: "unknown field; there are " + strings.Join(known, ", ")}
		case seen[name]:
			return &registry.FieldError{Field: at, Code: registry.CodeDuplicate, Message: "is given twice"}
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return syntax(at, d, err)
		}
		if err := read(at, value); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return syntax(place, d, err)
	}
	return nil
}

func syntax(place string, d *json.Decoder, err error) error {
	var bad *json.SyntaxError
	if errors.As(err, &bad) {
		return invalid(place, "is not JSON at byte %d: %s", bad.Offset, bad.Error())
	}
	return invalid(place, "is not JSON at byte %d: it ends too early", d.InputOffset())
}

// document reads a body with one of the registry's readers.
func document[T any](body []byte, read func(io.Reader) (T, error)) (T, error) {
	v, err := read(bytes.NewReader(body))
	if err != nil {
		err = &bodyError{err}
	}
	return v, err
}

// text reads a string. Unlike encoding/json it refuses null.
func text(to *string) func(string, json.RawMessage) error {
	return func(place string, value json.RawMessage) error {
		if value[0] != '"' || json.Unmarshal(value, to) != nil {
			return invalid(place, "must be a string")
		}
		return nil
	}
}

// boolean reads true or false.
func boolean(to *bool) func(string, json.RawMessage) error {
	return func(place string, value json.RawMessage) error {
		switch string(value) {
		case "true", "false":
			*to = string(value) == "true"
			return nil
		}
		return invalid(place, "must be true or false")
	}
}

// texts reads a list of strings.
func texts(to *[]string) func(string, json.RawMessage) error {
	return func(place string, value json.RawMessage) error {
		var list []json.RawMessage
		if value[0] != '[' || json.Unmarshal(value, &list) != nil {
			return invalid(place, "must be a list of strings")
		}
		*to = make([]string, len(list))
		for i, item := range list {
			if err := text(&(*to)[i])(fmt.Sprintf("%s[%d]", place, i), item); err != nil {
				return err
			}
		}
		return nil
	}
}

// whole reads a whole number.
func whole(to *int64, least, most int64) func(string, json.RawMessage) error {
	return func(place string, value json.RawMessage) error {
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < least || n > most {
			return invalid(place, "must be a whole number from %d to %d", least, most)
		}
		*to = n
		return nil
	}
}

// instant reads a time; null is the zero time.
func instant(to *time.Time) func(string, json.RawMessage) error {
	return func(place string, value json.RawMessage) error {
		if string(value) == "null" {
			*to = time.Time{}
			return nil
		}
		var s string
		if err := text(&s)(place, value); err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || t.IsZero() {
			return invalid(place, "must be a time as in RFC 3339, like 2026-01-31T00:00:00Z")
		}
		*to = t.UTC()
		return nil
	}
}

// keyQuotas reads the quotas that an API key can have.
func keyQuotas(q *registry.Quotas) func(string, json.RawMessage) error {
	return func(place string, value json.RawMessage) error {
		f := fields{}
		for name, to := range map[string]*int64{
			"apiRateLimit": &q.APIRateLimit, "burst": &q.Burst, "maxApiCallsPerDay": &q.MaxAPICallsPerDay,
			"maxApiCallsPerMonth": &q.MaxAPICallsPerMonth, "maxConcurrentRequests": &q.MaxConcurrentRequests,
		} {
			f[name] = whole(to, 1, registry.MaxQuota)
		}
		return object(json.NewDecoder(bytes.NewReader(value)), place, f)
	}
}
