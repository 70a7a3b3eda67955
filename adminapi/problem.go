package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// Problem is the body of every error (RFC 9457).
type Problem struct {
	// Type is urn:tenantgate:problem: and the code.
	Type string `json:"type"`
	// Title is that of the status.
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is a sentence for people.
	Detail string `json:"detail"`
	// Instance is the request's id, as in the header X-Request-Id and in the audit log.
	Instance string `json:"instance,omitempty"`
	// Code is stable: one of the registry's, or one of the Code constants of this package.
	Code string `json:"code"`
	// Field is the place of the first mistake, like environments[0].slug, or the name of a header or query parameter.
	Field string `json:"field,omitempty"`
	// Errors are all mistakes, at most 20; left out where there is only one.
	Errors []FieldProblem `json:"errors,omitempty"`
	// Version is what the registry has, where the caller's is another one.
	Version int64 `json:"version,omitempty"`
}

// FieldProblem is one mistake in a request.
type FieldProblem struct {
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// The codes that are not the registry's.
const (
	// CodeNoRoute (404): there is no such path.
	CodeNoRoute = "no_such_path"
	// CodeMethod (405 with Allow): the path does not have that method.
	CodeMethod = "method_not_allowed"
	// CodeMediaType (415): the body is not application/json.
	CodeMediaType = "unsupported_media_type"
	// CodeKeyReused (422): the Idempotency-Key was used for another request.
	CodeKeyReused = "idempotency_key_reused"
	// CodeNoGateway (501): only a running gateway knows this.
	CodeNoGateway = "gateway_required"
	// CodeNoHandler (409): the gateway's configuration has no such tenant handler.
	CodeNoHandler = "no_tenant_handler"
	// CodeInternal (500): the log says more.
	CodeInternal = "internal"
)

// ErrNoHandler is what [Live.Explain] returns where the configuration has no such tenant handler.
var ErrNoHandler = errors.New("there is no such tenant handler in the gateway's configuration")

// statusError is an error that says itself what to answer.
type statusError struct {
	status       int
	code, detail string
}

func (e *statusError) Error() string { return e.detail }

var (
	errNoRoute    = &statusError{http.StatusNotFound, CodeNoRoute, "There is no such path: see /tenants/_openapi.json."}
	errLargeBody  = &statusError{http.StatusRequestEntityTooLarge, registry.CodeTooLong, "The body is longer than 1 MB: import large files with the command line."}
	errBrokenBody = &statusError{http.StatusBadRequest, registry.CodeInvalid, "The body did not come in full, or not in time."}
	errMediaType  = &statusError{http.StatusUnsupportedMediaType, CodeMediaType, "The body must be application/json."}
	errNoMatch    = &statusError{http.StatusPreconditionFailed, registry.CodeVersionConflict, "If-Match has no entity tag that the record could have."}
	errNoGateway  = &statusError{http.StatusNotImplemented, CodeNoGateway, "Only a running gateway knows this."}
)

// methodError is a method that the path does not have.
type methodError struct{ allow string }

func (e *methodError) Error() string { return "the path has the methods " + e.allow }

// backendError says that there is nothing to work on.
type backendError struct{ err error }

func (e *backendError) Error() string { return e.err.Error() }
func (e *backendError) Unwrap() error { return e.err }

// bodyError says that the request itself is bad, whatever the registry has: 400, also for what is given twice in it.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// retryAfter is what Retry-After says while the registry cannot be asked, in seconds.
const retryAfter = "5"

// problemOf says what a client may see of an error.
func problemOf(r *http.Request, err error) *Problem {
	p := &Problem{Detail: err.Error(), Code: registry.Code(err)}
	var (
		own      *statusError
		method   *methodError
		backend  *backendError
		conflict *registry.ConflictError
		one      *registry.FieldError
		many     registry.FieldErrors
	)
	switch {
	case errors.As(err, &own):
		p.Status, p.Code = own.status, own.code
	case errors.As(err, &method):
		p.Status, p.Code, p.Detail = http.StatusMethodNotAllowed, CodeMethod, "The path has the methods "+method.allow+"."
	case errors.As(err, &backend):
		p.Status, p.Code, p.Detail = http.StatusServiceUnavailable, registry.CodeUnavailable, "The gateway's configuration has no registry at the moment."
	case errors.As(err, &many):
		p.fields(many)
	case errors.As(err, &one):
		p.fields(registry.FieldErrors{one})
	case errors.As(err, &conflict):
		p.Status, p.Version = http.StatusConflict, conflict.Version
		if conflict.Code == registry.CodeVersionConflict && r.Header.Get("If-Match") != "" {
			p.Status = http.StatusPreconditionFailed
		}
	case errors.Is(err, registry.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p.Status, p.Code = http.StatusServiceUnavailable, registry.CodeUnavailable
		p.Detail = "The registry cannot be asked at the moment, or did not answer in time."
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			p.Detail += " A change may have been made all the same: look before making it again, or repeat it with the same Idempotency-Key."
		}
	case errors.Is(err, registry.ErrNotFound):
		p.Status = http.StatusNotFound
	case errors.Is(err, ErrNoHandler):
		p.Status, p.Code = http.StatusConflict, CodeNoHandler
	default:
		p.Status, p.Code, p.Detail = http.StatusInternalServerError, CodeInternal, "Something went wrong; the log says what."
	}
	var body *bodyError
	if errors.As(err, &body) {
		p.Status = http.StatusBadRequest
	}
	p.Type, p.Title = "urn:tenantgate:problem:"+p.Code, http.StatusText(p.Status)
	return p
}

// fields fills in what is wrong with the values of a request.
func (p *Problem) fields(list registry.FieldErrors) {
	p.Status, p.Field, p.Detail = http.StatusBadRequest, list[0].Field, list[0].Error()
	if p.Code == registry.CodeDuplicate {
		p.Status = http.StatusConflict
	}
	if list[0].Field == "idempotencyKey" && list[0].Code == registry.CodeDuplicate {
		p.Status, p.Code, p.Field = http.StatusUnprocessableEntity, CodeKeyReused, "Idempotency-Key"
		p.Detail = "Idempotency-Key was used for another request"
		return
	}
	if len(list) == 1 {
		return
	}
	details := make([]string, len(list))
	for i, f := range list {
		p.Errors = append(p.Errors, FieldProblem{Field: f.Field, Code: f.Code, Detail: f.Message})
		details[i] = f.Error()
	}
	p.Detail = strings.Join(details, "; ")
}

// ProblemContentType is the media type of a [Problem] (RFC 9457 §3).
const ProblemContentType = "application/problem+json"

// writeProblem answers with an error. What the client may not see goes to the log.
func (a *API) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r, err)
	h := w.Header()
	p.Instance = h.Get("X-Request-Id")
	var method *methodError
	if errors.As(err, &method) {
		h.Set("Allow", method.allow)
	}
	switch p.Status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
		a.options.Logger.WarnContext(r.Context(), "an admin request could not be served", "method", r.Method, "error", err, "request_id", p.Instance)
	case http.StatusInternalServerError:
		a.options.Logger.ErrorContext(r.Context(), "an admin request failed", "method", r.Method, "error", err, "request_id", p.Instance)
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // nothing in it cannot be marshalled
	}
	h.Set("Content-Type", ProblemContentType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(text, '\n'))
	}
}
