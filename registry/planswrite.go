package registry

import (
	"bytes"
	"context"
	"database/sql"
	"time"
)

// Plan is a plan's record, as an operator sees it. Times are UTC.
type Plan struct {
	// Name identifies the plan.
	Name      string       `json:"name"`
	Quotas    Quotas       `json:"quotas"`
	Upstreams UpstreamList `json:"upstreams"`
	// Version grows with every change by any writer, from 1.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// NotThere is the version of what must not be there yet; see [Store.PutPlan].
const NotThere = -1

const selectPlan = `SELECT ` + planColumns + `, created_at, updated_at FROM sys_plan`

// planRow is a plan as it is stored.
type planRow struct {
	planRecord
	created, updated string
}

func (s *Store) planOf(r *planRow) (*Plan, error) {
	p := &Plan{Name: r.name, Quotas: r.quotas, Version: r.version, CreatedAt: storedInstantOf(r.created), UpdatedAt: storedInstantOf(r.updated)}
	var err error
	if p.Upstreams, err = storedUpstreams(r.upstreams); err != nil {
		return nil, s.unreadable("upstreams of plan "+r.name, err)
	}
	return p, nil
}

// view is what the audit log shows of a plan.
func (r *planRecord) view() map[string]any {
	return map[string]any{"name": r.name, "quotas": r.quotas, "upstreams": nullJSON(r.upstreams)}
}

// findPlan returns nil where there is none.
func (s *Store) findPlan(ctx context.Context, name string) (row *planRow, err error) {
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		row = &planRow{v.plan(), v.text(), v.text()}
		return nil
	}, selectPlan+` WHERE name = ?1`, name)
	return row, err
}

// GetPlan returns a plan by its name. Errors: [*MissingError], [ErrUnavailable].
func (s *Store) GetPlan(ctx context.Context, name string) (*Plan, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	row, err := s.findPlan(ctx, name)
	if err == nil && row == nil {
		err = &MissingError{What: "plan", Key: name}
	}
	if err != nil {
		return nil, err
	}
	return s.planOf(row)
}

// PutPlan creates a plan, or changes what p gives of the one that is there; see [DocumentPlan]. version is what the
// caller has read, 0 for whatever there is, and NotThere for a plan that must not be there yet. created tells which of the
// two was done. The audit log has it as plan.create or plan.update.
//
// Errors: [FieldErrors] and [*FieldError] (CodeDuplicate with NotThere), [*MissingError] and [*ConflictError] with
// CodeVersionConflict where a version is given, [ErrUnavailable].
func (s *Store) PutPlan(ctx context.Context, actor Actor, p DocumentPlan, version int64) (plan *Plan, created bool, err error) {
	doc, err := checkPlan(p)
	if err != nil {
		return nil, false, err
	}
	err = s.change(ctx, actor, func() (*operation, error) {
		have, err := s.findPlan(ctx, doc.Name)
		if err != nil {
			return nil, err
		}
		want := planRecord{name: doc.Name}
		if have != nil {
			want = have.planRecord
		}
		if doc.Quotas != nil {
			want.quotas = *doc.Quotas
		}
		if doc.Upstreams != nil {
			want.upstreams = upstreamsText(doc.Upstreams)
		}
		op := new(operation)
		if have == nil {
			if version > 0 {
				return nil, &MissingError{What: "plan", Key: doc.Name}
			}
			created = true
			op.insertPlan(&want)
			op.audit("plan.create", "", "", want.name, detail{After: want.view(), Version: 1})
			return op, nil
		}
		created = false
		if version == NotThere {
			return nil, &FieldError{Field: "name", Code: CodeDuplicate, Message: quoted(doc.Name) + " is there already"}
		}
		if err := stale("plan "+doc.Name, have.version, version); err != nil {
			return nil, err
		}
		if want == have.planRecord {
			return nil, nil
		}
		before, after := differ(have.view(), want.view())
		op.add(workPlanExpect, []any{want.name, have.version})
		op.updatePlan(&want)
		op.audit("plan.update", "", "", want.name, detail{Before: before, After: after, Version: have.version + 1})
		return op, nil
	})
	if err != nil {
		return nil, false, err
	}
	plan, err = readBack(s.GetPlan(ctx, doc.Name))
	return plan, created, err
}

// checkPlan checks a plan that was not read from JSON as if it were, and returns it as JSON would have brought it.
func checkPlan(p DocumentPlan) (checked *DocumentPlan, err error) {
	var text bytes.Buffer
	if err := writeDocument(&text, &Document{Plans: []DocumentPlan{p}}); err != nil {
		return nil, err
	}
	err = readDocument(&text, newFileIndex(), func(read *DocumentPlan) error {
		checked = read
		return nil
	}, func(*DocumentTenant) error { return nil })
	if err != nil {
		return nil, fieldErrors(err)
	}
	return checked, nil
}

// DeletePlan removes a plan. A plan that tenants have is removed only with force; they keep its name, and have only
// their own quotas from then on. version is what the caller has read, 0 for whatever there is. The audit log has it as
// plan.delete. Errors: [*MissingError], [*ConflictError] (CodeVersionConflict, CodeStateConflict for a plan in use),
// [ErrUnavailable].
func (s *Store) DeletePlan(ctx context.Context, actor Actor, name string, version int64, force bool) error {
	return s.change(ctx, actor, func() (*operation, error) {
		have, err := s.findPlan(ctx, name)
		if err == nil && have == nil {
			err = &MissingError{What: "plan", Key: name}
		}
		if err == nil {
			err = stale("plan "+quoted(name), have.version, version)
		}
		if err != nil {
			return nil, err
		}
		op := new(operation)
		op.add(workPlanExpect, []any{name, have.version})
		if !force {
			op.add(workPlanUnused, []any{name})
		}
		op.add(workPlanDelete, []any{name})
		op.audit("plan.delete", "", "", name, detail{Before: have.view()})
		return op, nil
	})
}

// ListPlans returns plans by name, and the cursor of the next part, which is "" after the last one. Errors:
// [*FieldError], [ErrUnavailable].
func (s *Store) ListPlans(ctx context.Context, p Page) (list []*Plan, next string, err error) {
	limit, err := p.size()
	if err != nil {
		return nil, "", err
	}
	after, err := p.after("plans", 1)
	if err != nil {
		return nil, "", err
	}
	if err := s.migrated(); err != nil {
		return nil, "", err
	}
	var c conditions
	c.add("name > ?", after[0])
	err = halvingPage(limit, func(limit int) error {
		list, next = []*Plan{}, ""
		more, err := c.page(ctx, s, selectPlan, "name", limit, func(v *values) error {
			plan, err := s.planOf(&planRow{v.plan(), v.text(), v.text()})
			list = append(list, plan)
			return err
		})
		if more {
			next = cursor("plans", list[limit-1].Name)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}
