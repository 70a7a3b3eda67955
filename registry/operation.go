package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The kinds of work of an operation, beyond those of an import, as sys_operation_apply and its companion triggers know them. Those
// that end in expect take an id and the version that it has to have.
const (
	workPlanExpect        = "plan.expect"
	workPlanKnown         = "plan.known"
	workPlanUnused        = "plan.unused"
	workPlanDelete        = "plan.delete"
	workTenantExpect      = "organization.expect"
	workTenantSlug        = "organization.slug"
	workTenantStatus      = "organization.status"
	workTenantDelete      = "organization.delete"
	workTenantAlias       = "organization.alias.insert"
	workTenantUnalias     = "organization.alias.delete"
	workEnvironmentExpect = "environment.expect"
	workEnvironmentSlug   = "environment.slug"
	workEnvironmentStatus = "environment.status"
	workEnvironmentDelete = "environment.delete"
	workEnvironmentAlias  = "environment.alias.insert"
	workUnalias           = "environment.alias.delete"
	workDatabaseExpect    = "database.expect"
	workMemberExpect      = "member.expect"
	workMemberDelete      = "member.delete"
	workKeyExpect         = "api_key.expect"
	workKeyInsert         = "api_key.insert"
	workKeyEnd            = "api_key.end"
	workSessionExpect     = "session.expect"
	workSessionInsert     = "session.insert"
	workSessionRevoke     = "session.revoke"
	workCredentialExpect  = "database_credential.expect"
	workCredentialStatus  = "database_credential.status"
	workCredentialInsert  = "database_credential.insert"
	workCredentialReseal  = "database_credential.reseal"
	workIdempotency       = "idempotency.insert"
)

const (
	// maxWork bounds one operation, in bytes of JSON: sqld takes no value of more than 4 MB.
	maxWork = 3 << 20
	// changeAttempts is how often a change is decided anew because somebody else changed what it was decided on.
	changeAttempts = 30
	// applyAttempts is how often an operation is sent when the connection breaks; it is never done twice.
	applyAttempts = 3
)

const insertOperation = `INSERT INTO sys_operation (id, actor, actor_kind, request_id, remote_addr, work) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`

// errRaced says that what an operation was decided on is not so any more.
var errRaced = errors.New("another writer was faster")

// operation is what a change writes: all of it, with its audit rows, or nothing.
type operation struct{ operations }

// detail is what the audit log says of a change. It never holds a secret.
type detail struct {
	// Reason is the actor's.
	Reason string `json:"reason,omitempty"`
	// Before and After hold what differs; only Before for what was removed, only After for what is new.
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
	// Version is what the record has after the change; 0 when it is gone.
	Version int64 `json:"version,omitempty"`
}

// audit adds a row to the audit log; environment may be "".
func (op *operation) audit(action, tenant, environment, subject string, d detail) {
	op.add(opAudit, []any{action, nullText(tenant), nullText(environment), nullText(subject), mustJSON(d)})
}

// differ keeps of two views of a record what differs between them.
func differ(before, after map[string]any) (b, a map[string]any) {
	b, a = map[string]any{}, map[string]any{}
	for name, value := range after {
		if mustJSON(before[name]) != mustJSON(value) {
			b[name], a[name] = before[name], value
		}
	}
	return b, a
}

// work returns the operation as the trigger takes it.
func (op *operation) work() (string, error) {
	lists := map[string]json.RawMessage{}
	err := op.chunks(func(kind, records string) error {
		if have := lists[kind]; have != nil {
			records = string(have[:len(have)-1]) + "," + records[1:]
		}
		lists[kind] = json.RawMessage(records)
		return nil
	})
	if err != nil {
		return "", err
	}
	text := mustJSON(lists)
	if len(text) > maxWork {
		return "", &FieldError{Code: CodeTooLong, Message: fmt.Sprintf("must not have more than %d bytes in all: import it, or make several changes", maxWork)}
	}
	return text, nil
}

// change makes a change: decide reads what is there and returns what to write, nil where there is nothing to do. It is
// called anew when another writer was faster.
func (s *Store) change(ctx context.Context, actor Actor, decide func() (*operation, error)) error {
	if err := actor.check(); err != nil {
		return err
	}
	if err := s.migrated(); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		op, err := decide()
		if err != nil || op == nil {
			return err
		}
		err = s.apply(ctx, actor, op)
		if !errors.Is(err, errRaced) {
			return err
		}
		if attempt == changeAttempts {
			return &ConflictError{Code: CodeVersionConflict, Message: "other writers keep changing it: try again"}
		}
		// By chance, so that those who are in each other's way do not come again together.
		if err := pause(ctx, rand.N(time.Duration(min(attempt, 10))*20*time.Millisecond)); err != nil {
			return s.classify(err)
		}
	}
}

// apply writes an operation with one statement. Where the connection breaks it sends it again, which is never done
// twice: its id says so. After a timeout it is unknown whether it was done.
func (s *Store) apply(ctx context.Context, actor Actor, op *operation) error {
	work, err := op.work()
	if err != nil {
		return err
	}
	id := NewID().String()
	sent := false // perhaps the server has got it
	for attempt := 1; ; attempt++ {
		_, err = s.exec(ctx, insertOperation, id, actor.ID, nullText(actor.Kind), nullText(actor.RequestID), nullText(actor.RemoteAddr), work)
		again := attempt < applyAttempts && ctx.Err() == nil
		var constraint *constraintError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &constraint):
			if strings.Contains(constraint.text, "sys_operation.id") {
				return nil // an earlier attempt, whose answer was lost, did it
			}
			return refusalOf(constraint)
		case !errors.Is(err, ErrUnavailable) || s.target.file != "" || errors.Is(err, ErrUnauthorized):
			return err
		}
		sent = sent || !errors.Is(err, errLock) && !errors.Is(err, errRefused)
		if errors.Is(err, context.DeadlineExceeded) || !again {
			if sent {
				return s.settle(ctx, id, err)
			}
			return err
		}
		if err := pause(ctx, time.Duration(attempt)*20*time.Millisecond); err != nil {
			return s.classify(err)
		}
	}
}

// readBack is for what a change returns: where it cannot be read any more, the error says that the change is made all the
// same.
func readBack[T any](v T, err error) (T, error) {
	if errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("the registry has the change, but reading it back failed: %w", err)
	}
	return v, err
}

// settle finds out whether an operation was done whose answer did not come.
func (s *Store) settle(ctx context.Context, id string, cause error) error {
	done := false
	err := s.query(ctx, func(*sql.Rows) error {
		done = true
		return nil
	}, `SELECT 1 FROM sys_operation WHERE id = ?1`, id)
	if err == nil && done {
		return nil
	}
	return s.unavailable("it is not known whether the change was made: look before making it again ("+lastPart(cause.Error())+")", cause)
}

// refusalOf says in the caller's words what the schema refuses.
func refusalOf(err *constraintError) error {
	has := func(part string) bool { return strings.Contains(err.text, part) }
	field := func(name, code, message string) error { return &FieldError{Field: name, Code: code, Message: message} }
	switch {
	case has("another writer changed"), has("sys_idempotency"), has("FOREIGN KEY"), has("sys_plan.name"),
		has("sys_database_credential.scope"): // decided anew, it is a refusal or what the same request has made
		return errRaced
	case has("operation: unknown plan"):
		return field("plan", CodeUnknownPlan, "there is no such plan")
	case has("operation: plan in use"):
		return &ConflictError{Code: CodeStateConflict, Message: "the plan is in use by tenants"}
	case has("operation: former slug of another organization"):
		return field("slug", CodeDuplicate, "is a former slug of another tenant: remove that alias first")
	case has("operation: former slug of another environment"):
		return field("slug", CodeDuplicate, "is a former slug of another environment: remove that alias first")
	case has("sys_organization.slug"):
		return field("slug", CodeDuplicate, "is the slug of another tenant")
	case has("sys_environment.slug"):
		return field("slug", CodeDuplicate, "is the slug of another environment of this tenant")
	case has("sys_organization.id"), has("sys_environment.id"), has("sys_api_key.id"), has("sys_session.id"), has("sys_database_credential.id"):
		return field("id", CodeDuplicate, "is there already")
	case has("sys_domain.hostname"):
		return field("domains", CodeDuplicate, "a domain belongs to another environment")
	case has("sys_environment_member"):
		return field("userId", CodeDuplicate, "is a member already")
	case has("sys_api_key.key_hash"), has("sys_session.token_hash"):
		return field("hash", CodeDuplicate, "is there already")
	}
	return &FieldError{Code: CodeInvalid, Message: "the registry refuses it: " + err.text}
}
