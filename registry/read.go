package registry

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// documentReader reads an import document piece by piece and hands on each plan and tenant. It checks everything that
// can be seen without a registry, goes on after a problem as long as the text is JSON, and knows place and line of
// each.
type documentReader struct {
	problems
	scan    *scanner
	path    []string
	index   *fileIndex // nil: what has to be unique was checked in an earlier pass
	plan    func(*DocumentPlan) error
	tenant  func(*DocumentTenant) error
	at      int32 // index of the current tenant
	records int   // its domains and members
}

// readDocument reads a whole document. Once there is a problem, plan and tenant are called no more. Its error is a [*DocumentError], or one of plan and tenant.
func readDocument(in io.Reader, index *fileIndex, plan func(*DocumentPlan) error, tenant func(*DocumentTenant) error) error {
	r := &documentReader{scan: newScanner(in), index: index, plan: plan, tenant: tenant}
	err := r.soften(r.document())
	var syntax *syntaxError
	var outside *outsideError
	switch {
	case errors.As(err, &syntax):
		_ = r.add(r.place(), r.scan.line, syntax)
	case errors.As(err, &outside):
		return outside.error
	}
	return r.err()
}

func (r *documentReader) document() error {
	err := r.object([]string{"plans", "tenants"}, func(field int) error {
		if field == 0 {
			return r.list(maxPlans, r.readPlan)
		}
		return r.list(0, r.readTenant)
	})
	if err != nil {
		return err
	}
	r.path = r.path[:0]
	return r.scan.finish()
}

// place returns the place of what is being read.
func (r *documentReader) place() string { return strings.Join(r.path, "") }

// within runs f with a place inside the current one.
func (r *documentReader) within(part string, f func() error) error {
	r.path = append(r.path, part)
	err := r.soften(f())
	if err == nil {
		r.path = r.path[:len(r.path)-1]
	}
	return err
}

// soften notes a problem with a value that has been read over, after which reading can go on. The place of an error
// after which it cannot stays in the path.
func (r *documentReader) soften(err error) error {
	var syntax *syntaxError
	var outside *outsideError
	if err == nil || errors.As(err, &syntax) || errors.Is(err, errEnough) || errors.As(err, &outside) {
		return err
	}
	return r.add(r.place(), r.scan.line, err)
}

// outsideError carries an error of the receiver of plans and tenants through the reader.
type outsideError struct{ error }

func (e *outsideError) Unwrap() error { return e.error }

// problem notes a problem at a place inside the current one.
func (r *documentReader) problem(part string, line int, format string, args ...any) error {
	return r.add(r.place()+part, line, fmt.Errorf(format, args...))
}

// object reads an object with known fields and calls read for each with its index.
func (r *documentReader) object(known []string, read func(field int) error) error {
	var seen uint32
	return r.scan.object(func(name string) error {
		field := slices.Index(known, name)
		part := "." + name
		if len(r.path) == 0 {
			part = name
		}
		if field < 0 {
			if err := r.add(r.place()+unknownPart(part), r.scan.line, errors.New("unknown field; known are "+strings.Join(known, ", "))); err != nil {
				return err
			}
			return r.scan.skip()
		}
		return r.within(part, func() error {
			if seen&(1<<field) != 0 {
				if err := r.scan.skip(); err != nil {
					return err
				}
				return errors.New("is given twice")
			}
			seen |= 1 << field
			return read(field)
		})
	})
}

// unknownPart shows the name of an unknown field, which may be anything.
func unknownPart(part string) string {
	const most = 40
	if q := strconv.Quote(part); len(part) > most || q != `"`+part+`"` {
		return "." + quoted(strings.TrimPrefix(part, "."))
	}
	return part
}

// list reads a list of at most so many elements (0: any number); null counts as an empty one.
func (r *documentReader) list(most int, read func(i int) error) error {
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	return r.scan.list(func(i int) error {
		if most > 0 && i >= most {
			if i == most {
				if err := r.problem("", r.scan.line, "must not have more than %d elements", most); err != nil {
					return err
				}
			}
			return r.scan.skip()
		}
		return r.within("["+strconv.Itoa(i)+"]", func() error { return read(i) })
	})
}

// text reads a string into to and checks it. null leaves it empty.
func (r *documentReader) text(to *string, check func(string) error) error {
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	s, err := r.requiredText()
	if err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	*to = s
	return nil
}

// requiredText reads a string.
func (r *documentReader) requiredText() (string, error) {
	if err := r.scan.expect("a string"); err != nil {
		return "", err
	}
	return r.scan.str()
}

var planFields = []string{"name", "quotas", "upstreams"}

func (r *documentReader) readPlan(i int) error {
	p := &DocumentPlan{}
	before := len(r.found.Problems)
	r.scan.token()
	p.line = r.scan.line
	err := r.object(planFields, func(field int) error {
		switch field {
		case 0:
			if err := r.text(&p.Name, checkPlanName); err != nil || p.Name == "" {
				return err
			}
			return r.claimPlan(p.Name, i)
		case 1:
			return r.quotas(&p.Quotas)
		default:
			return r.upstreams(&p.Upstreams)
		}
	})
	if err != nil {
		return err
	}
	if p.Name == "" && len(r.found.Problems) == before {
		if err := r.problem(".name", p.line, "is missing"); err != nil {
			return err
		}
	}
	if r.index != nil {
		r.index.planCount++
	}
	return r.handOn(func() error { return r.plan(p) })
}

// handOn calls a receiver, unless something was wrong before.
func (r *documentReader) handOn(receive func() error) error {
	if len(r.found.Problems) > 0 {
		return nil
	}
	if err := receive(); err != nil {
		return &outsideError{err}
	}
	return nil
}

func (r *documentReader) claimPlan(name string, i int) error {
	if r.index == nil {
		return nil
	}
	return claim(r.index.plans, name, position{line: line32(r.scan.line), item: int32(i)}, name, placePlan)
}

// quotaFields are the names of quotas, in the order of [Quotas.fields], then the other name of maxStorageBytes.
var quotaFields = []string{
	"maxUsers", "maxStorageBytes", "apiRateLimit", "burst", "maxApiCallsPerDay", "maxApiCallsPerMonth",
	"maxConcurrentRequests", "maxObjects", "maxRecordsPerObject", "maxDeploymentsPerDay", "maxStorage",
}

func (r *documentReader) quotas(to **Quotas) error {
	q := new(Quotas)
	*to = q
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	targets := q.fields()
	return r.object(quotaFields, func(field int) error {
		if null, err := r.scan.isNull(); null || err != nil {
			return err
		}
		v, err := r.scan.integer()
		if err != nil {
			return err
		}
		if err := checkQuota(v); err != nil {
			return err
		}
		if field == quotaCount {
			field = 1
		}
		if *targets[field] != 0 {
			return errors.New("maxStorage and maxStorageBytes are the same: give one of them")
		}
		*targets[field] = v
		return nil
	})
}

func (r *documentReader) upstreams(to *[]Upstream) error {
	*to = []Upstream{}
	return r.list(maxUpstreams, func(int) error {
		s, err := r.requiredText()
		if err != nil {
			return err
		}
		u, err := ParseUpstream(s)
		if err != nil {
			return err
		}
		if slices.Contains(*to, u) {
			return fmt.Errorf("%s is in the list already", quoted(u.String()))
		}
		*to = append(*to, u)
		return nil
	})
}

func (r *documentReader) metadata(to *map[string]string) error {
	m := map[string]string{}
	*to = m
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	total := 0
	return r.scan.object(func(name string) error {
		return r.within("["+quoted(name)+"]", func() error {
			s, err := r.requiredText()
			if err != nil {
				return err
			}
			if err := errors.Join(checkMetadataKey(name), checkMetadataValue(s)); err != nil {
				return err
			}
			if _, twice := m[name]; twice {
				return errors.New("is given twice")
			}
			total += len(name) + len(s)
			switch {
			case len(m) == maxMetadata:
				return fmt.Errorf("must not have more than %d entries", maxMetadata)
			case total > maxMetadataTotal:
				return fmt.Errorf("metadata must not have more than %d bytes in all", maxMetadataTotal)
			}
			m[name] = s
			return nil
		})
	})
}

func (r *documentReader) securityPolicy(to **SecurityPolicy) error {
	policy := new(SecurityPolicy)
	*to = policy
	if null, err := r.scan.isNull(); null || err != nil {
		return err
	}
	return r.object([]string{"accessControl"}, func(int) error {
		if null, err := r.scan.isNull(); null || err != nil {
			return err
		}
		return r.accessControl(&policy.AccessControl)
	})
}

func (r *documentReader) accessControl(a *AccessControl) error {
	return r.object([]string{"ipWhitelist", "requireMFA", "requireSSO", "sessionTimeout"}, func(field int) (err error) {
		switch field {
		case 0:
			return r.list(maxIPWhitelist, func(int) error {
				s, err := r.requiredText()
				if err != nil {
					return err
				}
				a.IPWhitelist = append(a.IPWhitelist, s)
				return checkAddressRange(s)
			})
		case 1:
			a.RequireMFA, err = r.scan.boolean()
		case 2:
			a.RequireSSO, err = r.scan.boolean()
		default:
			a.SessionTimeout, err = r.scan.integer()
			if err == nil && (a.SessionTimeout < 0 || a.SessionTimeout > MaxQuota) {
				err = fmt.Errorf("must be from 0 (no limit) to %d seconds", MaxQuota)
			}
		}
		return err
	})
}
