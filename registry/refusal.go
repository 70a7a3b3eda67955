package registry

import (
	"errors"
	"fmt"
	"strings"
)

// The stable codes of what a change or a list can be refused for; see [Code].
const (
	// CodeInvalid: a value is of the wrong type or form, or out of range.
	CodeInvalid = "invalid"
	// CodeUnknownField: a JSON object has a member that is not known.
	CodeUnknownField = "unknown_field"
	// CodeTooLong: a text, a list or a whole request is longer than allowed.
	CodeTooLong = "too_long"
	// CodeDuplicate: what has to be unique is there already.
	CodeDuplicate = "duplicate"
	// CodeUnknownPlan: the plan is not in the registry.
	CodeUnknownPlan = "unknown_plan"
	// CodeNotFound: what the change is about is not there.
	CodeNotFound = "not_found"
	// CodeVersionConflict: somebody else has changed it since the caller read it.
	CodeVersionConflict = "version_conflict"
	// CodeStateConflict: its status, or what depends on it, does not allow the change.
	CodeStateConflict = "state_conflict"
	// CodeProtected: the change needs Force with the slug repeated, or is never possible for the default environment.
	CodeProtected = "protected"
	// CodeUnavailable: the registry could not be asked, or did not answer; see [ErrUnavailable].
	CodeUnavailable = "registry_unavailable"
)

// FieldError says what is wrong with one value of a change.
type FieldError struct {
	// Field is its place, like environments[0].slug; empty where it is the request as a whole.
	Field string
	// Code is one of CodeInvalid, CodeUnknownField, CodeTooLong, CodeDuplicate and CodeUnknownPlan.
	Code string
	// Message is for people. It may repeat the value, cut to 80 bytes.
	Message string
}

// Error implements error.
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// FieldErrors are all problems of one change, at most 20. It unwraps to the single [*FieldError]s.
type FieldErrors []*FieldError

// Error implements error: one line for each problem.
func (e FieldErrors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (e FieldErrors) Unwrap() []error {
	list := make([]error, len(e))
	for i, f := range e {
		list[i] = f
	}
	return list
}

// ErrVersion is wrapped by a [ConflictError] with [CodeVersionConflict].
var ErrVersion = errors.New("changed by another writer")

// ConflictError says that a change is not possible as things are in the registry.
type ConflictError struct {
	// Code is CodeVersionConflict, CodeStateConflict or CodeProtected.
	Code string
	// Message is for people.
	Message string
	// Version is what the registry has, with CodeVersionConflict; 0 where that is not known.
	Version int64
}

// Error implements error.
func (e *ConflictError) Error() string { return e.Message }

// Unwrap makes errors.Is(err, ErrVersion) true for a stale version.
func (e *ConflictError) Unwrap() error {
	if e.Code == CodeVersionConflict {
		return ErrVersion
	}
	return nil
}

// MissingError says that what a change or a question is about is not in the registry.
type MissingError struct {
	// What is tenant, environment, plan, member, API key, credential, session or alias.
	What string
	// Key is what it was looked for by, cut to 80 bytes; empty for a session.
	Key string
}

// Error implements error.
func (e *MissingError) Error() string {
	if e.Key == "" {
		return e.What + " not found"
	}
	return e.What + " " + quoted(e.Key) + " not found"
}

// Unwrap makes errors.Is(err, ErrNotFound) true.
func (e *MissingError) Unwrap() error { return ErrNotFound }

// Code returns the stable code of an error of this package's changes and lists; CodeInvalid for problems of several
// kinds at once, and "" for nil and for errors of others.
func Code(err error) string {
	var many FieldErrors
	var field *FieldError
	var conflict *ConflictError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &many) && len(many) > 0:
		for _, f := range many {
			if f.Code != many[0].Code {
				return CodeInvalid
			}
		}
		return many[0].Code
	case errors.As(err, &field):
		return field.Code
	case errors.As(err, &conflict):
		return conflict.Code
	case errors.Is(err, ErrUnavailable):
		return CodeUnavailable
	case errors.Is(err, ErrNotFound):
		return CodeNotFound
	}
	return ""
}

// fieldCode finds the code of what the checks of a document say.
func fieldCode(err error) string {
	text := err.Error()
	for _, c := range []struct{ part, code string }{
		{"unknown field", CodeUnknownField},
		{"must not be longer than", CodeTooLong},
		{"must not have more than", CodeTooLong},
		{"is given twice", CodeDuplicate},
		{"is also at", CodeDuplicate},
		{"in the list already", CodeDuplicate},
		{"is the slug of another", CodeDuplicate},
		{"belongs to another tenant", CodeDuplicate},
		{"is an environment of another", CodeDuplicate},
	} {
		if strings.Contains(text, c.part) {
			return c.code
		}
	}
	return CodeInvalid
}

// fieldErrors turns the problems of a document that has a single tenant into those of a change of it.
func fieldErrors(err error) error {
	var bad *DocumentError
	if !errors.As(err, &bad) {
		return err
	}
	list := make(FieldErrors, len(bad.Problems))
	for i, p := range bad.Problems {
		place := strings.TrimPrefix(strings.TrimPrefix(p.Place, "tenants[0]"), ".")
		list[i] = &FieldError{Field: strings.TrimPrefix(place, "plans[0]."), Code: fieldCode(p.Err), Message: strings.ReplaceAll(p.Err.Error(), "tenants[0].", "")}
	}
	return list
}

// invalid makes a FieldError of what a check says; nil where it says nothing.
func invalid(field string, err error) error {
	if err == nil {
		return nil
	}
	return &FieldError{Field: field, Code: fieldCode(err), Message: err.Error()}
}

// stale returns an error unless the caller's version is 0 or what the registry has.
func stale(what string, have, given int64) error {
	if given == 0 || given == have {
		return nil
	}
	return &ConflictError{
		Code: CodeVersionConflict, Version: have,
		Message: fmt.Sprintf("%s has version %d, not %d: somebody else has changed it since it was read", what, have, given),
	}
}
