package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
)

// NewTenant is a tenant to be created.
type NewTenant struct {
	// DocumentTenant is the tenant with its environments, as in an import file and with its defaults. Slug is required.
	// Status is active (the default) or provisioning. Plan, where given, has to be in the registry. Domains count as
	// verified: whoever creates a tenant with them vouches for it.
	DocumentTenant
	// Idempotency makes it safe to ask twice; nil: it is not.
	Idempotency *Idempotency
}

// KeepAlias says what becomes of a slug that is given up.
type KeepAlias struct {
	// Keep lets the former slug lead to the same tenant or environment. Nobody else can take it meanwhile.
	Keep bool
	// ExpiresAt ends that, in the future and only with Keep; zero: it holds until somebody removes it.
	ExpiresAt time.Time
}

func (a KeepAlias) check(now time.Time) error {
	switch {
	case a.ExpiresAt.IsZero():
		return nil
	case !a.Keep:
		return &FieldError{Field: "aliasExpiresAt", Code: CodeInvalid, Message: "needs keepAlias"}
	case !a.ExpiresAt.After(now):
		return &FieldError{Field: "aliasExpiresAt", Code: CodeInvalid, Message: "is not in the future"}
	}
	return nil
}

// TenantPatch is a change of a tenant. What is left out, as nil, "" or zero, stays. The status is not among it: see
// [Store.TransitionTenant].
type TenantPatch struct {
	// Slug is a new slug; Alias says what becomes of the old one.
	Slug  string
	Alias KeepAlias
	// Name is the display name, at most 255 characters.
	Name string
	// Plan is the name of a plan in the registry.
	Plan      string
	Isolation IsolationLevel
	// SubscriptionExpiresAt is the end of the subscription; a pointer to the zero time removes it.
	SubscriptionExpiresAt *time.Time
	// Quotas replace all of the tenant's own.
	Quotas *Quotas
	// Upstreams replace the tenant's own; an empty list that is not nil removes them.
	Upstreams []Upstream
	// Metadata replaces all; an empty map that is not nil removes it.
	Metadata map[string]string
	// SecurityPolicy replaces the tenant's; one that demands nothing removes it.
	SecurityPolicy *SecurityPolicy
}

// CreateTenant creates a tenant with its environments, the default one among them, in one step: all of it, or nothing.
// A tenant without environments gets one, production. The audit log has it as organization.create.
//
// Errors: [FieldErrors] and [*FieldError] (CodeInvalid, CodeTooLong, CodeDuplicate for a slug, id or domain that is
// taken, CodeUnknownPlan), [ErrUnavailable].
func (s *Store) CreateTenant(ctx context.Context, actor Actor, n NewTenant) (*Tenant, error) {
	doc, err := checkTenant(n.DocumentTenant)
	if err != nil {
		return nil, err
	}
	if doc.Status != "" && doc.Status != StatusActive && doc.Status != StatusProvisioning {
		return nil, &FieldError{Field: "status", Code: CodeInvalid, Message: quoted(string(doc.Status)) + " is none of active, provisioning"}
	}
	if err := checkRetention(doc.Metadata); err != nil {
		return nil, err
	}
	if doc.ID == uuid.Nil {
		doc.ID = NewID()
	}
	id := doc.ID.String()
	err = s.create(ctx, actor, n.Idempotency, &id, func() (*operation, error) { return s.creation(ctx, doc) })
	if err != nil {
		return nil, err
	}
	return readBack(s.GetTenant(ctx, id))
}

// creation compares a new tenant with the registry, as an import does, and returns what to write.
func (s *Store) creation(ctx context.Context, doc *DocumentTenant) (*operation, error) {
	b := batch{tenants: []*DocumentTenant{doc}}
	have, err := loadExisting(ctx, s.query, newFileIndex(), &b)
	switch {
	case err != nil:
		return nil, err
	case have.tenants[doc.ID.String()] != nil:
		return nil, &FieldError{Field: "id", Code: CodeDuplicate, Message: quoted(doc.ID.String()) + " is there already"}
	case have.slugs[doc.Slug] != nil:
		return nil, &FieldError{Field: "slug", Code: CodeDuplicate, Message: quoted(doc.Slug) + " is the slug of another tenant"}
	}
	for i := range doc.Environments {
		if e := &doc.Environments[i]; have.environments[e.ID.String()] != nil {
			return nil, &FieldError{Field: environmentPlace(i) + ".id", Code: CodeDuplicate, Message: quoted(e.ID.String()) + " is there already"}
		}
	}
	c := comparison{have: have}
	if err := c.batch(&b); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if err := c.err(); err != nil {
		return nil, fieldErrors(err)
	}
	op := &operation{c.ops}
	delete(op.open, opAudit) // what an import would say
	want := tenantRecord{
		id: doc.ID.String(), slug: doc.Slug, name: doc.Slug, plan: "free", status: string(StatusActive), isolation: string(IsolationSharedSchema),
	}
	want.apply(doc)
	after := want.view()
	environments := []string{}
	for i := range doc.Environments {
		environments = append(environments, doc.Environments[i].Slug)
	}
	if len(environments) == 0 {
		environments = append(environments, string(EnvironmentProduction))
	}
	after["environments"] = environments
	if doc.Plan != "" {
		op.add(workPlanKnown, []any{doc.Plan})
	}
	op.add(workTenantSlug, []any{want.slug, want.id})
	op.audit("organization.create", want.id, "", want.slug, detail{After: after, Version: 1})
	return op, nil
}

// UpdateTenant changes a tenant, by id or slug. version is what the caller has read, 0 for whatever there is. Where
// nothing differs, nothing is written. The audit log has it as organization.update, with what differs.
//
// Errors: [FieldErrors] and [*FieldError], [*MissingError], [*ConflictError] with CodeVersionConflict, [ErrUnavailable].
func (s *Store) UpdateTenant(ctx context.Context, actor Actor, idOrSlug string, version int64, p TenantPatch) (*Tenant, error) {
	doc, err := checkTenantPatch(&p)
	if err != nil {
		return nil, err
	}
	if err := p.Alias.check(s.now()); err != nil {
		return nil, err
	}
	var id string
	err = s.change(ctx, actor, func() (*operation, error) {
		have, err := s.findTenant(ctx, idOrSlug)
		if err != nil {
			return nil, err
		}
		id = have.id
		if err := stale("tenant "+have.slug, have.version, version); err != nil {
			return nil, err
		}
		want := have.tenantRecord
		change := *doc
		if p.Slug == "" {
			change.Slug = have.slug
		}
		want.apply(&change)
		if want == have.tenantRecord {
			return nil, nil
		}
		op := new(operation)
		op.add(workTenantExpect, []any{have.id, have.version})
		op.updateTenant(&want)
		if want.plan != have.plan {
			op.add(workPlanKnown, []any{want.plan})
		}
		if want.slug != have.slug {
			op.add(workTenantSlug, []any{want.slug, want.id})
			op.add(workTenantUnalias, []any{want.slug}) // its own, or there is none
			if p.Alias.Keep {
				op.add(workTenantAlias, []any{have.slug, have.id, p.Alias.expiry()})
			}
		}
		before, after := differ(have.view(), want.view())
		if want.slug != have.slug && p.Alias.Keep {
			after["keepAlias"] = true
		}
		op.audit("organization.update", have.id, "", want.slug, detail{Before: before, After: after, Version: have.version + 1})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetTenant(ctx, id))
}

// expiry is the column's value.
func (a KeepAlias) expiry() any {
	if a.ExpiresAt.IsZero() {
		return nil
	}
	return formatTime(a.ExpiresAt)
}

// checkTenantPatch checks a patch, and returns it as the document of an import.
func checkTenantPatch(p *TenantPatch) (*DocumentTenant, error) {
	doc := DocumentTenant{
		Slug: p.Slug, Name: p.Name, Plan: p.Plan, Isolation: p.Isolation, SubscriptionExpiresAt: p.SubscriptionExpiresAt,
		Quotas: p.Quotas, Upstreams: p.Upstreams, Metadata: p.Metadata, SecurityPolicy: p.SecurityPolicy,
	}
	if doc.Slug == "" {
		doc.Slug = "unchanged" // which a document must have
	}
	if err := checkRetention(p.Metadata); err != nil {
		return nil, err
	}
	return checkTenant(doc)
}

// TransitionTenant changes the status of a tenant, by id or slug: see [Action]. version is what the caller has read, 0
// for whatever there is. [ActionDestroy] needs Force with the slug repeated. The audit log has it as
// organization.ACTION, with the reason. Suspending and archiving stop traffic on every gateway within two polls.
//
// Errors: [*FieldError], [*MissingError], [*ConflictError] (CodeVersionConflict, CodeStateConflict, CodeProtected),
// [ErrUnavailable].
func (s *Store) TransitionTenant(ctx context.Context, actor Actor, idOrSlug string, version int64, t Transition) (*Tenant, error) {
	if err := t.check(true); err != nil {
		return nil, err
	}
	var id string
	err := s.change(ctx, actor, func() (*operation, error) {
		have, err := s.findTenant(ctx, idOrSlug)
		if err != nil {
			return nil, err
		}
		id = have.id
		what := "tenant " + have.slug
		if err := stale(what, have.version, version); err != nil {
			return nil, err
		}
		to, err := step(what, t.Action, Status(have.status), true)
		if err != nil {
			return nil, err
		}
		if t.Action == ActionDestroy {
			if err := forced(what, have.slug, t.Force); err != nil {
				return nil, err
			}
		}
		op := new(operation)
		op.add(workTenantExpect, []any{have.id, have.version})
		op.add(workTenantStatus, []any{have.id, string(to), nullText(t.Reason)})
		op.audit("organization."+string(t.Action), have.id, "", have.slug, detail{
			Reason: t.Reason, Before: map[string]any{"status": have.status}, After: map[string]any{"status": string(to)}, Version: have.version + 1,
		})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetTenant(ctx, id))
}

// DestroyTenant removes a tenant, by id or slug, with all that belongs to it: environments, domains, members, keys,
// usage. It has to be archived, failed or destroying, and force has to repeat its slug. version is what the caller has
// read, 0 for whatever there is. Its data planes are not touched. The audit log keeps the tenant's rows, and has this as
// organization.delete.
//
// Errors: [*MissingError], [*ConflictError] (CodeVersionConflict, CodeStateConflict, CodeProtected), [ErrUnavailable].
func (s *Store) DestroyTenant(ctx context.Context, actor Actor, idOrSlug string, version int64, force string) error {
	return s.change(ctx, actor, func() (*operation, error) {
		have, err := s.findTenant(ctx, idOrSlug)
		if err != nil {
			return nil, err
		}
		what := "tenant " + have.slug
		if err := stale(what, have.version, version); err != nil {
			return nil, err
		}
		if err := forced(what, have.slug, force); err != nil {
			return nil, err
		}
		if !slices.Contains(removable, Status(have.status)) {
			return nil, &ConflictError{Code: CodeStateConflict, Message: what + " is " + have.status + ": archive it first"}
		}
		op := new(operation)
		op.add(workTenantExpect, []any{have.id, have.version})
		op.add(workTenantDelete, []any{have.id})
		op.audit("organization.delete", have.id, "", have.slug, detail{Before: have.view()})
		return op, nil
	})
}
