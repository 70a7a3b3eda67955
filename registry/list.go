package registry

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a page of a list.
const (
	// DefaultPage is how many records a list returns that is asked for 0.
	DefaultPage = 100
	// MaxPage is the most that a list returns at once.
	MaxPage = 1000
)

// Page is a part of a list.
type Page struct {
	// Limit is how many records at most, up to MaxPage. Default: DefaultPage.
	Limit int
	// Cursor is what the list returned with the part before; "" for the first part. It is opaque, holds no secret, and
	// stays good whatever is written meanwhile: no record that was there all the time is missing, none comes twice.
	Cursor string
}

// size checks the limit.
func (p Page) size() (int, error) {
	switch {
	case p.Limit == 0:
		return DefaultPage, nil
	case p.Limit < 0 || p.Limit > MaxPage:
		return 0, &FieldError{Field: "limit", Code: CodeInvalid, Message: fmt.Sprintf("must be from 1 to %d", MaxPage)}
	}
	return p.Limit, nil
}

// cursor is the place where a list goes on: the list's name, and the key of the last record.
func cursor(list string, key ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(mustJSON(append([]string{list}, key...))))
}

// after returns the key in the cursor: n parts, all empty at the beginning.
func (p Page) after(list string, n int) ([]string, error) {
	if p.Cursor == "" {
		return make([]string, n), nil
	}
	var parts []string
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err == nil && len(text) <= 2048 {
		err = json.Unmarshal(text, &parts)
	}
	if err != nil || len(parts) != n+1 || parts[0] != list || slices.ContainsFunc(parts, func(s string) bool { return strings.ContainsRune(s, 0) }) {
		return nil, &FieldError{Field: "cursor", Code: CodeInvalid, Message: "is none that this list has given"}
	}
	return parts[1:], nil
}

// halvingPage calls f with a limit, again with half of it as long as the answer is too large for the server.
func halvingPage(limit int, f func(limit int) error) error {
	for {
		err := f(limit)
		if !errors.Is(err, errTooLarge) || limit == 1 {
			return err
		}
		limit /= 2
	}
}

// conditions are joined with AND; their arguments are numbered.
type conditions struct {
	text []string
	args []any
}

// add adds a condition with ? for each argument.
func (c *conditions) add(text string, args ...any) {
	for _, a := range args {
		c.args = append(c.args, a)
		text = strings.Replace(text, "?", fmt.Sprintf("$%d", len(c.args)), 1)
	}
	c.text = append(c.text, strings.ReplaceAll(text, "$", "?"))
}

// page runs a query with the conditions and hands on at most limit records; it returns true when there are more.
func (c *conditions) page(ctx context.Context, s *Store, query, order string, limit int, each func(v *values) error) (more bool, err error) {
	if len(c.text) > 0 {
		query += " WHERE " + strings.Join(c.text, " AND ")
	}
	query += fmt.Sprintf(" ORDER BY %s LIMIT ?%d", order, len(c.args)+1)
	n := 0
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if n++; n > limit {
			more = true
			return nil
		}
		if err := v.scan(rows); err != nil {
			return err
		}
		return each(&v)
	}, query, append(slices.Clip(c.args), int64(limit)+1)...)
	return more, err
}

// TenantFilter says which tenants [Store.ListTenants] returns: those for which everything holds that is given.
type TenantFilter struct {
	// Status of the tenant.
	Status Status
	// Plan is the name of the tenant's plan.
	Plan string
	// Region is one that an environment of the tenant is in.
	Region string
	// Prefix is what the slug begins with.
	Prefix string
	Page
}

// ListTenants returns tenants by slug, and the cursor of the next part, which is "" after the last one. Errors:
// [*FieldError], [ErrUnavailable].
func (s *Store) ListTenants(ctx context.Context, f TenantFilter) (list []*Tenant, next string, err error) {
	limit, err := f.size()
	if err != nil {
		return nil, "", err
	}
	after, err := f.after("tenants", 1)
	if err != nil {
		return nil, "", err
	}
	if err := s.migrated(); err != nil {
		return nil, "", err
	}
	var c conditions
	c.add("slug > ?", after[0])
	if f.Prefix != "" {
		if !ValidSlug(strings.TrimSuffix(f.Prefix, "-")) {
			return nil, "", &FieldError{Field: "prefix", Code: CodeInvalid, Message: quoted(f.Prefix) + " begins no slug"}
		}
		c.add("slug >= ? AND slug < ?", f.Prefix, f.Prefix+"{") // "{" comes after all that slugs have
	}
	if f.Status != "" {
		if err := oneOf(statuses)(string(f.Status)); err != nil {
			return nil, "", invalid("status", err)
		}
		if c.add("status = ?", string(f.Status)); f.Status != StatusActive {
			c.add("status <> 'active'") // for the index
		}
	}
	if f.Plan != "" {
		if err := checkPlanName(f.Plan); err != nil {
			return nil, "", invalid("plan", err)
		}
		c.add("plan = ?", f.Plan)
	}
	if f.Region != "" {
		if err := checkToken(maxRegion)(f.Region); err != nil {
			return nil, "", invalid("region", err)
		}
		c.add("EXISTS (SELECT 1 FROM sys_environment e WHERE e.organization_id = sys_organization.id AND e.region = ?)", f.Region)
	}
	err = halvingPage(limit, func(limit int) error {
		list, next = []*Tenant{}, ""
		more, err := c.page(ctx, s, selectTenant, "slug", limit, func(v *values) error {
			t, err := s.tenant(&tenantRow{v.tenant(), v.history()})
			list = append(list, t)
			return err
		})
		if more {
			next = cursor("tenants", list[limit-1].Slug)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}

// EnvironmentFilter says which environments of a tenant [Store.ListEnvironments] returns: those for which everything
// holds that is given.
type EnvironmentFilter struct {
	Status Status
	Type   EnvironmentType
	Region string
	Page
}

// ListEnvironments returns environments of a tenant, which is named by id or slug, by their slugs, and the cursor of the
// next part, which is "" after the last one. Errors: [*FieldError], [*MissingError], [ErrUnavailable].
func (s *Store) ListEnvironments(ctx context.Context, tenant string, f EnvironmentFilter) (list []*Environment, next string, err error) {
	limit, err := f.size()
	if err != nil {
		return nil, "", err
	}
	after, err := f.after("environments", 1)
	if err != nil {
		return nil, "", err
	}
	if err := s.migrated(); err != nil {
		return nil, "", err
	}
	t, err := s.findTenant(ctx, tenant)
	if err != nil {
		return nil, "", err
	}
	var c conditions
	c.add("organization_id = ? AND slug > ?", t.id, after[0])
	for _, filter := range []struct {
		name, column, value string
		check               func(string) error
	}{
		{"status", "status", string(f.Status), oneOf(environmentStatuses)},
		{"type", "type", string(f.Type), oneOf(environmentTypes)},
		{"region", "e.region", f.Region, checkToken(maxRegion)},
	} {
		if filter.value == "" {
			continue
		}
		if err := filter.check(filter.value); err != nil {
			return nil, "", invalid(filter.name, err)
		}
		c.add(filter.column+" = ?", filter.value)
	}
	err = halvingPage(limit, func(limit int) error {
		list, next = []*Environment{}, ""
		more, err := c.page(ctx, s, selectEnvironment, "slug", limit, func(v *values) error {
			e, err := s.environment(v.environmentRow())
			list = append(list, e)
			return err
		})
		if more {
			next = cursor("environments", list[limit-1].Slug)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}
