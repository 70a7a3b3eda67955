package registry

import (
	"context"
	"database/sql"
	"time"
)

// Member is somebody who may use an environment. Times are UTC.
type Member struct {
	// UserID is the user's id in the identity provider.
	UserID string `json:"userId"`
	// Role is env_admin, env_maker, env_user or env_viewer.
	Role      string `json:"role"`
	InvitedBy string `json:"invitedBy,omitempty"`
	// Version grows with every change by any writer, from 1.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// NewMember is a member to be added.
type NewMember struct {
	// UserID is 1 to 255 characters.
	UserID string `json:"userId"`
	// Role is env_admin, env_maker, env_user or env_viewer.
	Role string `json:"role"`
	// Idempotency makes it safe to ask twice; nil: it is not.
	Idempotency *Idempotency `json:"-"`
}

const selectMember = `SELECT user_id, role, invited_by, version, created_at, updated_at FROM sys_environment_member`

func (v *values) member() *Member {
	return &Member{
		UserID: v.text(), Role: v.text(), InvitedBy: v.text(), Version: v.number(),
		CreatedAt: storedInstantOf(v.text()), UpdatedAt: storedInstantOf(v.text()),
	}
}

func checkMember(user, role string) error {
	if err := checkText(user); err != nil {
		return invalid("userId", err)
	}
	return invalid("role", oneOf(roles)(role))
}

// findMember returns nil where there is none.
func (s *Store) findMember(ctx context.Context, environment, user string) (m *Member, err error) {
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		m = v.member()
		return nil
	}, selectMember+` WHERE environment_id = ?1 AND user_id = ?2`, environment, user)
	return m, err
}

// GetMember returns a member of an environment; tenant and environment are ids or slugs. Errors: [*MissingError],
// [ErrUnavailable].
func (s *Store) GetMember(ctx context.Context, tenant, environment, user string) (*Member, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, err
	}
	m, err := s.findMember(ctx, e.id, user)
	if err == nil && m == nil {
		err = &MissingError{What: "member", Key: user}
	}
	return m, err
}

// AddMember lets a user use an environment; tenant and environment are ids or slugs. The audit log has it as member.add.
// Errors: [*FieldError] (CodeInvalid, CodeTooLong; CodeDuplicate for one who is a member already), [*MissingError],
// [ErrUnavailable].
func (s *Store) AddMember(ctx context.Context, actor Actor, tenant, environment string, n NewMember) (*Member, error) {
	if err := checkMember(n.UserID, n.Role); err != nil {
		return nil, err
	}
	var e *environmentRow
	result := n.UserID
	err := s.create(ctx, actor, n.Idempotency, &result, func() (op *operation, err error) {
		if _, e, err = s.find(ctx, tenant, environment); err != nil {
			return nil, err
		}
		if m, err := s.findMember(ctx, e.id, n.UserID); err != nil || m != nil {
			if err == nil {
				err = &FieldError{Field: "userId", Code: CodeDuplicate, Message: quoted(n.UserID) + " is a member already"}
			}
			return nil, err
		}
		op = new(operation)
		op.add(workEnvironmentExpect, []any{e.id, e.version})
		op.add(opMemberInsert, []any{e.id, n.UserID, n.Role, actor.ID})
		op.audit("member.add", e.tenant, e.id, n.UserID, detail{After: map[string]any{"role": n.Role}, Version: 1})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetMember(ctx, tenant, environment, result))
}

// SetMemberRole changes the role of a member; tenant and environment are ids or slugs. version is what the caller has
// read, 0 for whatever there is. The audit log has it as member.update. Errors: [*FieldError], [*MissingError],
// [*ConflictError] with CodeVersionConflict, [ErrUnavailable].
func (s *Store) SetMemberRole(ctx context.Context, actor Actor, tenant, environment, user, role string, version int64) (*Member, error) {
	if err := checkMember(user, role); err != nil {
		return nil, err
	}
	err := s.changeMember(ctx, actor, tenant, environment, user, version, func(e *environmentRow, m *Member) *operation {
		if m.Role == role {
			return nil
		}
		op := new(operation)
		op.add(opMemberUpdate, []any{e.id, user, role})
		op.audit("member.update", e.tenant, e.id, user, detail{
			Before: map[string]any{"role": m.Role}, After: map[string]any{"role": role}, Version: m.Version + 1,
		})
		return op
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetMember(ctx, tenant, environment, user))
}

// RemoveMember ends a membership; tenant and environment are ids or slugs. version is what the caller has read, 0 for
// whatever there is. The audit log has it as member.remove. Errors: [*MissingError], [*ConflictError] with
// CodeVersionConflict, [ErrUnavailable].
func (s *Store) RemoveMember(ctx context.Context, actor Actor, tenant, environment, user string, version int64) error {
	return s.changeMember(ctx, actor, tenant, environment, user, version, func(e *environmentRow, m *Member) *operation {
		op := new(operation)
		op.add(workMemberDelete, []any{e.id, user})
		op.audit("member.remove", e.tenant, e.id, user, detail{Before: map[string]any{"role": m.Role}})
		return op
	})
}

// changeMember makes a change of a member who is there.
func (s *Store) changeMember(ctx context.Context, actor Actor, tenant, environment, user string, version int64, decide func(*environmentRow, *Member) *operation) error {
	return s.change(ctx, actor, func() (*operation, error) {
		_, e, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		m, err := s.findMember(ctx, e.id, user)
		if err == nil && m == nil {
			err = &MissingError{What: "member", Key: user}
		}
		if err == nil {
			err = stale("member "+quoted(user), m.Version, version)
		}
		if err != nil {
			return nil, err
		}
		op := decide(e, m)
		if op != nil {
			op.add(workMemberExpect, []any{e.id, m.Version, user})
		}
		return op, nil
	})
}

// MemberFilter says which members [Store.ListMembers] returns.
type MemberFilter struct {
	// Role is env_admin, env_maker, env_user or env_viewer.
	Role string
	Page
}

// ListMembers returns members of an environment by user id, and the cursor of the next part, which is "" after the last
// one; tenant and environment are ids or slugs. Errors: [*FieldError], [*MissingError], [ErrUnavailable].
func (s *Store) ListMembers(ctx context.Context, tenant, environment string, f MemberFilter) (list []*Member, next string, err error) {
	limit, err := f.size()
	if err != nil {
		return nil, "", err
	}
	after, err := f.after("members", 1)
	if err != nil {
		return nil, "", err
	}
	var c conditions
	if f.Role != "" {
		if err := oneOf(roles)(f.Role); err != nil {
			return nil, "", invalid("role", err)
		}
		c.add("role = ?", f.Role)
	}
	if err := s.migrated(); err != nil {
		return nil, "", err
	}
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, "", err
	}
	c.add("environment_id = ? AND user_id > ?", e.id, after[0])
	list = []*Member{}
	more, err := c.page(ctx, s, selectMember, "user_id", limit, func(v *values) error {
		list = append(list, v.member())
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if more {
		next = cursor("members", list[limit-1].UserID)
	}
	return list, next, nil
}
