package registry

import (
	"errors"
	"fmt"
	"strings"
)

// maxProblems is how many problems of one document are reported.
const maxProblems = 20

// PlaceError says what is wrong with a document, and where.
type PlaceError struct {
	// Place is like tenants[3].environments[0].slug; empty where the problem is the document as a whole.
	Place string
	// Line in the file, from 1; 0 where the document is no file.
	Line int
	// Err says what is wrong.
	Err error
}

// Error implements error.
func (e *PlaceError) Error() string {
	var b strings.Builder
	if e.Place != "" {
		b.WriteString(e.Place + ": ")
	}
	b.WriteString(e.Err.Error())
	if e.Line > 0 {
		fmt.Fprintf(&b, " (line %d)", e.Line)
	}
	return b.String()
}

// Unwrap returns what is wrong without the place.
func (e *PlaceError) Unwrap() error { return e.Err }

// DocumentError holds all problems of a document, in its order; at most 20. It unwraps to the single [*PlaceError]s.
type DocumentError struct {
	// Problems has at least one element.
	Problems []*PlaceError
	// More is true when there were more problems than are listed.
	More bool
}

// Error implements error: one line for each problem.
func (e *DocumentError) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, p.Error())
	}
	if e.More {
		lines = append(lines, "and more problems after these")
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (e *DocumentError) Unwrap() []error {
	list := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		list[i] = p
	}
	return list
}

// problems collects what is wrong with a document.
type problems struct{ found DocumentError }

// errEnough ends the reading of a document that has too many problems.
var errEnough = errors.New("too many problems")

// add notes a problem. It returns errEnough when no more are wanted.
func (p *problems) add(place string, line int, err error) error {
	if len(p.found.Problems) >= maxProblems {
		p.found.More = true
		return errEnough
	}
	p.found.Problems = append(p.found.Problems, &PlaceError{Place: place, Line: line, Err: err})
	return nil
}

// err returns all problems as one error, or nil.
func (p *problems) err() error {
	if len(p.found.Problems) == 0 {
		return nil
	}
	return &p.found
}
