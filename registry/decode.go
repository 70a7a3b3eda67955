package registry

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"
)

// decode reads one JSON object as an import reads the objects of its file: strictly, and with the place of each problem.
// Whoever calls it bounds what it reads.
func decode(in io.Reader, read func(r *documentReader) error) error {
	r := &documentReader{
		scan: newScanner(in), index: newFileIndex(),
		plan: func(*DocumentPlan) error { return nil }, tenant: func(*DocumentTenant) error { return nil },
	}
	err := r.soften(read(r))
	if err == nil {
		err = r.scan.finish()
	}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		// The scanner speaks of files.
		_ = r.add(r.place(), r.scan.line, errors.New(strings.ReplaceAll(syntax.text, "the file", "the text")))
	}
	return fieldErrors(r.err())
}

// DecodeTenant reads a tenant as in an import file, for [Store.CreateTenant]. Whoever calls it bounds the stream. The
// error is [FieldErrors].
func DecodeTenant(in io.Reader) (*DocumentTenant, error) {
	t := new(DocumentTenant)
	err := decode(in, func(r *documentReader) error {
		r.tenant = func(read *DocumentTenant) error {
			*t = *read
			return nil
		}
		return r.readTenant(0)
	})
	return t, err
}

// DecodeEnvironment reads an environment as in an import file, for [Store.CreateEnvironment]. Whoever calls it bounds
// the stream. The error is [FieldErrors].
func DecodeEnvironment(in io.Reader) (*DocumentEnvironment, error) {
	t := new(DocumentTenant)
	err := decode(in, func(r *documentReader) error { return r.readEnvironment(t, 0) })
	if err != nil || len(t.Environments) == 0 {
		return nil, err
	}
	return &t.Environments[0], nil
}

// DecodePlan reads a plan as in an import file, for [Store.PutPlan]. Whoever calls it bounds the stream. The error is
// [FieldErrors].
func DecodePlan(in io.Reader) (*DocumentPlan, error) {
	p := new(DocumentPlan)
	err := decode(in, func(r *documentReader) error {
		r.plan = func(read *DocumentPlan) error {
			*p = *read
			return nil
		}
		return r.readPlan(0)
	})
	return p, err
}

var tenantPatchFields = []string{
	"slug", "name", "plan", "isolationLevel", "subscriptionExpiresAt", "quotas", "upstreams", "metadata", "securityPolicy",
	"keepAlias", "aliasExpiresAt",
}

// DecodeTenantPatch reads a change of a tenant: the members of an import file that [TenantPatch] has, and keepAlias and
// aliasExpiresAt. What is left out stays; null removes what can be absent. Whoever calls it bounds the stream. The error
// is [FieldErrors].
func DecodeTenantPatch(in io.Reader) (TenantPatch, error) {
	var p TenantPatch
	err := decode(in, func(r *documentReader) error {
		return r.object(tenantPatchFields, func(field int) error {
			switch field {
			case 0:
				return r.text(&p.Slug, checkSlug)
			case 1:
				return r.text(&p.Name, checkText)
			case 2:
				return r.text(&p.Plan, checkPlanName)
			case 3:
				return r.text((*string)(&p.Isolation), oneOf(isolationLevels))
			case 4:
				return r.instant(&p.SubscriptionExpiresAt)
			case 5:
				return r.quotas(&p.Quotas)
			case 6:
				return r.upstreams(&p.Upstreams)
			case 7:
				return r.metadata(&p.Metadata)
			case 8:
				return r.securityPolicy(&p.SecurityPolicy)
			}
			return r.alias(&p.Alias, field-9)
		})
	})
	return p, err
}

var environmentPatchFields = []string{
	"slug", "name", "type", "region", "quotas", "upstreams", "metadata", "database", "keepAlias", "aliasExpiresAt",
}

// DecodeEnvironmentPatch reads a change of an environment: the members of an import file that [EnvironmentPatch] has,
// and keepAlias and aliasExpiresAt. What is left out stays; null removes what can be absent. Whoever calls it bounds the
// stream. The error is [FieldErrors].
func DecodeEnvironmentPatch(in io.Reader) (EnvironmentPatch, error) {
	var p EnvironmentPatch
	err := decode(in, func(r *documentReader) error {
		return r.object(environmentPatchFields, func(field int) error {
			switch field {
			case 0:
				return r.text(&p.Slug, checkSlug)
			case 1:
				return r.text(&p.Name, checkText)
			case 2:
				return r.text((*string)(&p.Type), oneOf(environmentTypes))
			case 3:
				p.Region = new(string)
				return r.text(p.Region, checkToken(maxRegion))
			case 4:
				return r.quotas(&p.Quotas)
			case 5:
				return r.upstreams(&p.Upstreams)
			case 6:
				return r.metadata(&p.Metadata)
			case 7:
				var e DocumentEnvironment
				err := r.readDatabase(&e)
				p.Database = e.Database
				return err
			}
			return r.alias(&p.Alias, field-8)
		})
	})
	return p, err
}

// alias reads what shall become of a former slug.
func (r *documentReader) alias(a *KeepAlias, field int) error {
	if field == 0 {
		keep, err := r.scan.boolean()
		a.Keep = keep
		return err
	}
	var at *time.Time
	err := r.instant(&at)
	a.ExpiresAt = *at
	return err
}

// checkTenant checks a tenant that was not read from JSON in the same way, and returns it as JSON would have brought it.
func checkTenant(t DocumentTenant) (*DocumentTenant, error) {
	var text bytes.Buffer
	var checked *DocumentTenant
	if err := writeDocument(&text, &Document{Tenants: []DocumentTenant{t}}); err != nil {
		return nil, err
	}
	err := readDocument(&text, newFileIndex(), func(*DocumentPlan) error { return nil }, func(read *DocumentTenant) error {
		checked = read
		return nil
	})
	if err != nil {
		return nil, fieldErrors(err)
	}
	return checked, nil
}
