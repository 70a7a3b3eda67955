package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

var tenantFields = []string{
	"id", "slug", "name", "plan", "status", "isolationLevel", "subscriptionExpiresAt", "quotas", "upstreams", "metadata",
	"securityPolicy", "environments",
}

func (r *documentReader) readTenant(i int) error {
	t := &DocumentTenant{}
	before := len(r.found.Problems)
	r.scan.token()
	t.line = r.scan.line
	r.at, r.records = int32(i), 0
	err := r.object(tenantFields, func(field int) error {
		switch field {
		case 0:
			return r.id(&t.ID, r.claimTenantID)
		case 1:
			return r.tenantSlug(t)
		case 2:
			return r.text(&t.Name, checkText)
		case 3:
			return r.text(&t.Plan, checkPlanName)
		case 4:
			return r.text((*string)(&t.Status), oneOf(statuses))
		case 5:
			return r.text((*string)(&t.Isolation), oneOf(isolationLevels))
		case 6:
			return r.instant(&t.SubscriptionExpiresAt)
		case 7:
			return r.quotas(&t.Quotas)
		case 8:
			return r.upstreams(&t.Upstreams)
		case 9:
			return r.metadata(&t.Metadata)
		case 10:
			return r.securityPolicy(&t.SecurityPolicy)
		default:
			return r.list(maxEnvironments, func(i int) error { return r.readEnvironment(t, i) })
		}
	})
	if err != nil {
		return err
	}
	if t.Slug == "" && len(r.found.Problems) == before {
		if err := r.problem(".slug", t.line, "is missing"); err != nil {
			return err
		}
	}
	if err := r.defaultEnvironment(t); err != nil {
		return err
	}
	if r.index != nil {
		r.index.tenantCount++
		r.index.environmentCount += int64(max(len(t.Environments), 1))
		if t.Plan != "" {
			r.index.namePlan(t.Plan)
		}
	}
	return r.handOn(func() error { return r.tenant(t) })
}

// id reads an id; null leaves it out.
func (r *documentReader) id(to *uuid.UUID, claim func(uuid.UUID) error) error {
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	s, err := r.requiredText()
	if err != nil {
		return err
	}
	if *to, err = parseID(s); err != nil || r.index == nil {
		return err
	}
	return claim(*to)
}

func (r *documentReader) claimTenantID(id uuid.UUID) error {
	return claim(r.index.tenantIDs, id, position{line: line32(r.scan.line), tenant: r.at}, id.String(), placeTenantID)
}

func (r *documentReader) tenantSlug(t *DocumentTenant) error {
	if err := r.text(&t.Slug, checkSlug); err != nil || t.Slug == "" || r.index == nil {
		return err
	}
	return claim(r.index.slugs, r.index.hash(t.Slug), position{line: line32(r.scan.line), tenant: r.at}, t.Slug, placeSlug)
}

// instant reads a time; null is the zero time.
func (r *documentReader) instant(to **time.Time) error {
	*to = new(time.Time)
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	s, err := r.requiredText()
	if err != nil {
		return err
	}
	**to, err = parseInstant(s)
	return err
}

// defaultEnvironment checks that at most one environment is the default, and that of several one is. A single one may
// say nothing: it becomes the default where its tenant has none.
func (r *documentReader) defaultEnvironment(t *DocumentTenant) error {
	first := -1
	for i := range t.Environments {
		e := &t.Environments[i]
		if e.Default == nil || !*e.Default {
			continue
		}
		if first >= 0 {
			return r.problem(fmt.Sprintf(".environments[%d].isDefault", i), e.line,
				"environments[%d] is the default environment already", first)
		}
		first = i
	}
	if first < 0 && len(t.Environments) > 1 {
		return r.problem(".environments", t.line, `none is the default: give one of them "isDefault": true`)
	}
	return nil
}

var environmentFields = []string{
	"id", "slug", "name", "type", "isDefault", "status", "region", "upstreams", "quotas", "metadata", "domains", "members",
	"database",
}

func (r *documentReader) readEnvironment(t *DocumentTenant, i int) error {
	e := DocumentEnvironment{}
	before := len(r.found.Problems)
	r.scan.token()
	e.line = r.scan.line
	at := position{tenant: r.at, environment: int32(i)}
	err := r.object(environmentFields, func(field int) error {
		switch field {
		case 0:
			return r.id(&e.ID, func(id uuid.UUID) error {
				at.line = line32(r.scan.line)
				return claim(r.index.environments, id, at, id.String(), placeEnvironment)
			})
		case 1:
			return r.environmentSlug(t, &e)
		case 2:
			return r.text(&e.Name, checkText)
		case 3:
			return r.text((*string)(&e.Type), oneOf(environmentTypes))
		case 4:
			return r.flag(&e.Default)
		case 5:
			return r.text((*string)(&e.Status), oneOf(environmentStatuses))
		case 6:
			e.Region = new(string)
			return r.text(e.Region, checkToken(maxRegion))
		case 7:
			return r.upstreams(&e.Upstreams)
		case 8:
			return r.quotas(&e.Quotas)
		case 9:
			return r.metadata(&e.Metadata)
		case 10:
			return r.list(maxDomains, func(i int) error { return r.readDomain(&e, at, i) })
		case 11:
			users := map[string]struct{}{}
			return r.list(maxMembers, func(int) error { return r.readMember(&e, users) })
		default:
			return r.readDatabase(&e)
		}
	})
	if err != nil {
		return err
	}
	if e.Slug == "" && len(r.found.Problems) == before {
		if err := r.problem(".slug", e.line, "is missing"); err != nil {
			return err
		}
	}
	t.Environments = append(t.Environments, e)
	if r.records += len(e.Domains) + len(e.Members); r.records > maxRecords {
		return fmt.Errorf("a tenant must not have more than %d domains and members in all", maxRecords)
	}
	return nil
}

func (r *documentReader) environmentSlug(t *DocumentTenant, e *DocumentEnvironment) error {
	if err := r.text(&e.Slug, checkSlug); err != nil || e.Slug == "" {
		return err
	}
	for i := range t.Environments {
		if t.Environments[i].Slug == e.Slug {
			return fmt.Errorf("%s is also at tenants[%d].environments[%d].slug%s",
				quoted(e.Slug), r.at, i, lineText(line32(t.Environments[i].line)))
		}
	}
	return nil
}

// flag reads true or false; null leaves it out.
func (r *documentReader) flag(to **bool) error {
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	v, err := r.scan.boolean()
	if err != nil {
		return err
	}
	*to = &v
	return nil
}

func (r *documentReader) readDomain(e *DocumentEnvironment, at position, i int) error {
	s, err := r.requiredText()
	if err != nil {
		return err
	}
	host, err := normalizeDomain(s)
	if err != nil {
		return err
	}
	e.Domains = append(e.Domains, host)
	if r.index == nil {
		return nil
	}
	at.line, at.item = line32(r.scan.line), int32(i)
	return claim(r.index.domains, r.index.hash(host), at, host, placeDomain)
}

func (r *documentReader) readMember(e *DocumentEnvironment, users map[string]struct{}) error {
	r.scan.token()
	m := DocumentMember{}
	err := r.object([]string{"userId", "role"}, func(field int) error {
		if field == 1 {
			return r.text(&m.Role, oneOf(roles))
		}
		if err := r.text(&m.UserID, checkText); err != nil || m.UserID == "" {
			return err
		}
		if _, twice := users[m.UserID]; twice {
			return fmt.Errorf("%s is in the list already", quoted(m.UserID))
		}
		users[m.UserID] = struct{}{}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(r.found.Problems) > 0: // perhaps with this member
	case m.UserID == "":
		return errors.New("userId is missing")
	case m.Role == "":
		return errors.New("role is missing")
	}
	e.Members = append(e.Members, m)
	return nil
}

var databaseFields = []string{"driver", "name", "url", "schema", "region"}

func (r *documentReader) readDatabase(e *DocumentEnvironment) error {
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	d := &DocumentDatabase{}
	err := r.object(databaseFields, func(field int) error {
		switch field {
		case 0:
			return r.text(&d.Driver, oneOf(drivers))
		case 1:
			return r.text(&d.Name, checkToken(maxText))
		case 2:
			d.URL = new(string)
			return r.text(d.URL, checkDatabaseURL)
		case 3:
			d.Schema = new(string)
			return r.text(d.Schema, checkToken(maxText))
		default:
			d.Region = new(string)
			return r.text(d.Region, checkToken(maxRegion))
		}
	})
	if err != nil {
		return err
	}
	if d.Driver == "" && len(r.found.Problems) == 0 {
		return errors.New("driver is missing")
	}
	e.Database = d
	return nil
}
