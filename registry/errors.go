package registry

import (
	"errors"

	"github.com/google/uuid"
)

var (
	// ErrNotFound is wrapped by every [NotFoundError].
	ErrNotFound = errors.New("not found")
	// ErrUnavailable is wrapped by every error that says nothing about the data: the registry could not be reached,
	// did not answer in time, refused the token, or answered nonsense. Such an error is never remembered as "unknown".
	ErrUnavailable = errors.New("registry unavailable")
	// ErrUnauthorized says that the registry refused the token; it comes together with ErrUnavailable.
	ErrUnauthorized = errors.New("registry refused the token")
	// ErrSchemaTooNew says that a newer Tenantgate has migrated the registry; it comes together with ErrUnavailable.
	ErrSchemaTooNew = errors.New("registry schema is newer than this binary")
)

// NotFoundError says that a reference means nothing in the registry.
type NotFoundError struct {
	// Tenant is the tenant that was found when only the environment was missing; zero when the tenant is unknown.
	Tenant uuid.UUID
	// Credential is set when the key is that of a valid session or API key, which leads nowhere: it names no tenant, or
	// (see its NamesTenant) one that is not there.
	Credential *Credential
}

// asNotFound returns the [NotFoundError] that err is or wraps.
func asNotFound(err error) (*NotFoundError, bool) {
	var missing *NotFoundError
	ok := errors.As(err, &missing)
	return missing, ok
}

// Error implements error.
func (e *NotFoundError) Error() string {
	if e.Tenant == uuid.Nil {
		return "tenant not found"
	}
	return "environment not found"
}

// Unwrap makes errors.Is(err, ErrNotFound) true.
func (e *NotFoundError) Unwrap() error { return ErrNotFound }
