package registry

import (
	"fmt"
	"unicode/utf8"
)

// Actor is who makes a change, as the audit log has it.
type Actor struct {
	// ID is a user's id, the subject of a client certificate, or the name of a tool; 1 to 255 characters, required.
	ID string
	// Kind says what ID is, like "user", "certificate" or "cli"; at most 63 characters. Empty: unknown.
	Kind string
	// RequestID leads to the request in other logs; at most 255 characters. Empty: there is none.
	RequestID string
	// RemoteAddr is the client's IP address; at most 63 characters. Empty: there is none.
	RemoteAddr string
}

// check returns a [*FieldError] for what the audit log could not take.
func (a Actor) check() error {
	if err := checkText(a.ID); err != nil {
		return &FieldError{Field: "actor", Code: fieldCode(err), Message: err.Error()}
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{{"actorKind", a.Kind, 63}, {"requestId", a.RequestID, 255}, {"remoteAddr", a.RemoteAddr, 63}} {
		if f.value == "" {
			continue
		}
		if utf8.RuneCountInString(f.value) > f.most {
			return &FieldError{Field: f.name, Code: CodeTooLong, Message: fmt.Sprintf("must not be longer than %d characters", f.most)}
		}
		if err := checkText(f.value); err != nil {
			return &FieldError{Field: f.name, Code: fieldCode(err), Message: err.Error()}
		}
	}
	return nil
}
