package adminapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/domains"
	"github.com/tenantgate/tenantgate/registry"
)

// Domain is a host name of an environment. Only a verified one is served.
type Domain struct {
	Hostname      string    `json:"hostname"`
	TenantID      uuid.UUID `json:"tenantId"`
	EnvironmentID uuid.UUID `json:"environmentId"`
	// Verified says that it is proved, or that the operator vouches for it; Method which: dns, http or operator.
	Verified   bool      `json:"verified"`
	VerifiedAt time.Time `json:"verifiedAt,omitzero"`
	Method     string    `json:"method,omitempty"`
	// Proof is what the owner of a claimed name publishes, one of the two; nil once it is verified.
	Proof *DomainProof `json:"proof,omitempty"`
	// CheckedAt is when a claim was last looked after, Checks how often that was, Failure why the last time failed.
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	Checks    int       `json:"checks,omitempty"`
	Failure   string    `json:"failure,omitempty"`
	// NextCheckAt is when a claim is due; left out when it is given up or verified. ExpiresAt is when it is given up.
	NextCheckAt time.Time `json:"nextCheckAt,omitzero"`
	ExpiresAt   time.Time `json:"expiresAt,omitzero"`
	CreatedAt   time.Time `json:"createdAt"`
}

// DomainProof is how the owner of a host name proves it: by a DNS record, or by an answer over HTTP.
type DomainProof struct {
	// DNSName is the name of a TXT record, DNSValue what it holds.
	DNSName  string `json:"dnsName"`
	DNSValue string `json:"dnsValue"`
	// HTTPURL answers with DNSValue and nothing else. A name that leads to a gateway does so by itself.
	HTTPURL string `json:"httpUrl"`
}

// DomainRequest is the body that adds a host name to an environment.
type DomainRequest struct {
	Hostname string `json:"hostname"`
	// Verified says that the operator vouches for it: nobody has to prove anything.
	Verified bool `json:"verified,omitempty"`
}

// MoveDomainRequest is the body that takes a host name to another environment.
type MoveDomainRequest struct {
	// Tenant is an id or a slug. Default: the same tenant. Another one has to prove the name anew.
	Tenant string `json:"tenant,omitempty"`
	// Environment is an id or a slug.
	Environment string `json:"environment"`
}

type hostnames interface {
	Domains(ctx context.Context, environment uuid.UUID) ([]registry.Domain, error)
	AddDomain(ctx context.Context, environment uuid.UUID, hostname, actor, actorKind string) (registry.Domain, error)
	VerifyDomain(ctx context.Context, environment uuid.UUID, hostname, token string, method registry.DomainMethod, actor, actorKind string) (registry.Domain, error)
	RemoveDomain(ctx context.Context, environment uuid.UUID, hostname, actor, actorKind string) error
	MoveDomain(ctx context.Context, hostname string, from, to uuid.UUID, actor, actorKind string) (registry.Domain, error)
}

// domainOf shows a domain.
func domainOf(d *registry.Domain) *Domain {
	x := &Domain{
		Hostname: d.Hostname, TenantID: d.Tenant, EnvironmentID: d.Environment, Verified: d.Verified(), VerifiedAt: d.VerifiedAt,
		Method: string(d.Method), CheckedAt: d.CheckedAt, Checks: d.Checks, Failure: d.Failure, NextCheckAt: d.NextCheckAt,
		ExpiresAt: d.ExpiresAt, CreatedAt: d.CreatedAt,
	}
	if !x.Verified {
		x.Proof = &DomainProof{
			DNSName: domains.RecordName(d.Hostname), DNSValue: domains.Proof(d.Token), HTTPURL: "http://" + d.Hostname + domains.TokenPath + d.Token,
		}
	}
	return x
}

// environmentID returns the id of the environment in the path.
func (c *call) environmentID(ctx context.Context) (uuid.UUID, error) {
	tenant, environment := c.place()
	e, err := c.Store.GetEnvironment(ctx, tenant, environment)
	if err != nil {
		return uuid.Nil, err
	}
	return e.ID, nil
}

// domainError says in this package's words what the registry refuses.
func domainError(err error) error {
	var bad *registry.DomainError
	if !errors.As(err, &bad) {
		return err
	}
	f := &registry.FieldError{Field: "hostname", Code: registry.CodeInvalid, Message: bad.Error()}
	switch bad.Code {
	case registry.DomainDuplicate:
		f.Code = registry.CodeDuplicate
	case registry.DomainLimit:
		f.Code = registry.CodeTooLong
	case registry.DomainStale:
		return &registry.ConflictError{Code: registry.CodeStateConflict, Message: bad.Error()}
	}
	return f
}

func listDomains(ctx context.Context, c *call) (answer, error) {
	environment, err := c.environmentID(ctx)
	if err != nil {
		return answer{}, err
	}
	found, err := c.Store.Domains(ctx, environment)
	items := make([]*Domain, len(found))
	for i := range found {
		items[i] = domainOf(&found[i])
	}
	return list(items, "", err)
}

func getDomain(ctx context.Context, c *call) (answer, error) {
	environment, err := c.environmentID(ctx)
	if err != nil {
		return answer{}, err
	}
	found, err := c.Store.Domains(ctx, environment)
	if err != nil {
		return answer{}, err
	}
	for i := range found {
		if found[i].Hostname == c.PathValue("domain") {
			return answer{body: domainOf(&found[i])}, nil
		}
	}
	return answer{}, &registry.MissingError{What: "domain", Key: short(c.PathValue("domain"))}
}

func addDomain(ctx context.Context, c *call) (answer, error) {
	if c.Header.Get("Idempotency-Key") != "" {
		return answer{}, invalid("Idempotency-Key", "a domain is added once by its name: look whether it is there")
	}
	var host string
	var verified bool
	if err := decode(c.body, fields{"hostname": text(&host), "verified": boolean(&verified)}); err != nil {
		return answer{}, err
	}
	environment, err := c.environmentID(ctx)
	if err != nil {
		return answer{}, err
	}
	var d registry.Domain
	if verified {
		d, err = c.Store.VerifyDomain(ctx, environment, host, "", registry.DomainOperator, c.actor.ID, c.actor.Kind)
	} else {
		d, err = c.Store.AddDomain(ctx, environment, host, c.actor.ID, c.actor.Kind)
	}
	if err != nil {
		return answer{}, domainError(err)
	}
	tenant, name := c.place()
	return created(answer{body: domainOf(&d)}, nil, false, tenant, "environments", name, "domains", d.Hostname)
}

// verifyDomain is for an operator who vouches for a name.
func verifyDomain(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	environment, err := c.environmentID(ctx)
	if err != nil {
		return answer{}, err
	}
	d, err := c.Store.VerifyDomain(ctx, environment, c.PathValue("domain"), "", registry.DomainOperator, c.actor.ID, c.actor.Kind)
	if err != nil {
		return answer{}, domainError(err)
	}
	return answer{body: domainOf(&d)}, nil
}

func moveDomain(ctx context.Context, c *call) (answer, error) {
	tenant, _ := c.place()
	var environment string
	if err := decode(c.body, fields{"tenant": text(&tenant), "environment": text(&environment)}); err != nil {
		return answer{}, err
	}
	if environment == "" {
		return answer{}, &bodyError{invalid("environment", "an id or a slug is needed")}
	}
	from, err := c.environmentID(ctx)
	if err != nil {
		return answer{}, err
	}
	to, err := c.Store.GetEnvironment(ctx, tenant, environment)
	if err != nil {
		return answer{}, err
	}
	d, err := c.Store.MoveDomain(ctx, c.PathValue("domain"), from, to.ID, c.actor.ID, c.actor.Kind)
	if err != nil {
		return answer{}, domainError(err)
	}
	return answer{body: domainOf(&d)}, nil
}

func removeDomain(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	environment, err := c.environmentID(ctx)
	if err != nil {
		return answer{}, err
	}
	err = c.Store.RemoveDomain(ctx, environment, c.PathValue("domain"), c.actor.ID, c.actor.Kind)
	return answer{status: http.StatusNoContent}, domainError(err)
}
