package registry

import (
	"context"
	"slices"
)

// TransitionEnvironment changes the status of an environment: see [Action]; tenant and environment are ids or slugs.
// version is what the caller has read, 0 for whatever there is. [ActionArchive] of a protected environment (the default
// one, and those of the types production and default) needs Force with the slug repeated. The audit log has it as
// environment.ACTION, with the reason.
//
// Errors: [*FieldError], [*MissingError], [*ConflictError] (CodeVersionConflict, CodeStateConflict, CodeProtected),
// [ErrUnavailable].
func (s *Store) TransitionEnvironment(ctx context.Context, actor Actor, tenant, environment string, version int64, t Transition) (*Environment, error) {
	if err := t.check(false); err != nil {
		return nil, err
	}
	var id, of string
	err := s.change(ctx, actor, func() (*operation, error) {
		_, have, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		id, of = have.id, have.tenant
		what := "environment " + have.slug
		if err := stale(what, have.version, version); err != nil {
			return nil, err
		}
		to, err := step(what, t.Action, Status(have.status), false)
		if err != nil {
			return nil, err
		}
		if t.Action == ActionArchive && protectedEnvironment(have.isDefault, have.kind) {
			if err := forced(what, have.slug, t.Force); err != nil {
				return nil, err
			}
		}
		op := new(operation)
		op.add(workEnvironmentExpect, []any{have.id, have.version})
		op.add(workEnvironmentStatus, []any{have.id, string(to), nullText(t.Reason)})
		op.audit("environment."+string(t.Action), have.tenant, have.id, have.slug, detail{
			Reason: t.Reason, Before: map[string]any{"status": have.status}, After: map[string]any{"status": string(to)}, Version: have.version + 1,
		})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetEnvironment(ctx, of, id))
}

// MakeDefault makes an environment its tenant's default, in place of the one that is; tenant and environment are ids or
// slugs. version is what the caller has read of the environment, 0 for whatever there is. The audit log has it as
// environment.default, and the former one's as environment.update.
//
// Errors: [*MissingError], [*ConflictError] (CodeVersionConflict; CodeStateConflict for an environment that is archived
// or failed), [ErrUnavailable].
func (s *Store) MakeDefault(ctx context.Context, actor Actor, tenant, environment string, version int64) (*Environment, error) {
	var id, of string
	err := s.change(ctx, actor, func() (*operation, error) {
		t, have, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		id, of = have.id, have.tenant
		if err := stale("environment "+have.slug, have.version, version); err != nil {
			return nil, err
		}
		if have.isDefault {
			return nil, nil
		}
		if slices.Contains(removable, Status(have.status)) {
			return nil, &ConflictError{Code: CodeStateConflict, Message: "environment " + have.slug + " is " + have.status + ": it cannot be the default"}
		}
		former, err := s.findEnvironment(ctx, t, "")
		if err != nil {
			return nil, err
		}
		op := new(operation)
		op.add(workEnvironmentExpect, []any{have.id, have.version})
		op.add(opEnvironmentDefault, []any{have.id})
		op.takeOver(&former.environmentRecord, have.slug)
		op.audit("environment.default", have.tenant, have.id, have.slug, detail{
			Before: map[string]any{"isDefault": false, "default": former.slug}, After: map[string]any{"isDefault": true}, Version: have.version + 1,
		})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetEnvironment(ctx, of, id))
}

// DestroyEnvironment removes an environment with its domains, members, keys and the record of its database, whose data
// is not touched; tenant and environment are ids or slugs. It has to be archived or failed. The default environment is
// never removed: make another one the default first. Those of the types production and default need force with the slug
// repeated. version is what the caller has read, 0 for whatever there is. The audit log has it as environment.delete.
//
// Errors: [*MissingError], [*ConflictError] (CodeVersionConflict, CodeStateConflict, CodeProtected), [ErrUnavailable].
func (s *Store) DestroyEnvironment(ctx context.Context, actor Actor, tenant, environment string, version int64, force string) error {
	return s.change(ctx, actor, func() (*operation, error) {
		_, have, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		what := "environment " + have.slug
		if err := stale(what, have.version, version); err != nil {
			return nil, err
		}
		switch {
		case have.isDefault:
			return nil, &ConflictError{Code: CodeProtected, Message: what + " is the tenant's default environment: make another one the default first"}
		case !slices.Contains(removable, Status(have.status)):
			return nil, &ConflictError{Code: CodeStateConflict, Message: what + " is " + have.status + ": archive it first"}
		case protectedEnvironment(false, have.kind):
			if err := forced(what, have.slug, force); err != nil {
				return nil, err
			}
		}
		op := new(operation)
		op.add(workEnvironmentExpect, []any{have.id, have.version})
		op.add(workEnvironmentDelete, []any{have.id})
		before := have.view()
		if have.database != nil {
			before["database"] = have.database.view()
		}
		op.audit("environment.delete", have.tenant, have.id, have.slug, detail{Before: before})
		return op, nil
	})
}
