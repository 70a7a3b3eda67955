package registry

import (
	"context"
	"database/sql"

	"github.com/google/uuid"
)

// domainTx is one change to domains: a transaction, and who makes it.
type domainTx struct {
	s                *Store
	ctx              context.Context
	tx               *sql.Tx
	actor, actorKind string
}

// domainPlace is a host name as one environment sees it.
type domainPlace struct {
	host, tenant, environment string
	// owner is the environment for which the name is verified; empty when it is for none.
	owner string
	// token is that of this environment's claim; empty when it has none.
	token string
	// claimedIn is the environment of this tenant that claims the name, this one or another; expired says that the claim
	// is out of date.
	claimedIn string
	expired   bool
	// claims counts the tenant's claims, names the environment's names, verified or claimed.
	claims, names int64
}

// holds reports whether the name is this environment's, verified or claimed.
func (p *domainPlace) holds() bool { return p.owner == p.environment || p.token != "" }

func (t *domainTx) exec(query string, args ...any) error {
	_, err := t.s.execOn(t.ctx, t.tx, query, args...)
	return err
}

// query is one read within the transaction, with the timeout of a call.
func (t *domainTx) query(each rowsFunc, query string, args ...any) error {
	ctx, cancel := t.s.call(t.ctx)
	defer cancel()
	return t.s.classify(t.s.queryOn(ctx, t.tx, each, query, args...))
}

// place looks at a host name from an environment, under the write lock. The error wraps ErrNotFound when there is no
// such environment.
func (t *domainTx) place(host string, environment uuid.UUID) (*domainPlace, error) {
	p := &domainPlace{host: host, environment: environment.String()}
	var tenant, owner, token, claimedIn, expires sql.NullString
	err := t.query(func(rows *sql.Rows) error {
		return rows.Scan(&tenant, &owner, &token, &claimedIn, &expires, &p.claims, &p.names)
	}, `SELECT e.organization_id,
 (SELECT environment_id FROM sys_domain WHERE hostname = ?1 AND verified_at IS NOT NULL),
 (SELECT token FROM sys_domain_claim WHERE hostname = ?1 AND environment_id = e.id),
 c.environment_id, c.expires_at,
 (SELECT count(*) FROM sys_domain_claim WHERE environment_id IN (SELECT id FROM sys_environment WHERE organization_id = e.organization_id)),
 (SELECT count(*) FROM sys_domain WHERE environment_id = e.id) + (SELECT count(*) FROM sys_domain_claim WHERE environment_id = e.id)
 FROM sys_environment e
 LEFT JOIN (SELECT cl.environment_id, cl.expires_at, o.organization_id FROM sys_domain_claim cl JOIN sys_environment o ON o.id = cl.environment_id
  WHERE cl.hostname = ?1) c ON c.organization_id = e.organization_id
 WHERE e.id = ?2`, host, p.environment)
	if err != nil {
		return nil, err
	}
	if !tenant.Valid {
		return nil, notFound("environment " + p.environment)
	}
	p.tenant, p.owner, p.token, p.claimedIn = tenant.String, owner.String, token.String, claimedIn.String
	if expires.Valid {
		at, err := parseTime(expires.String)
		if err != nil {
			return nil, t.s.unavailable("it holds a record that cannot be read: " + err.Error())
		}
		p.expired = !t.s.now().Before(at)
	}
	return p, nil
}

// claim makes a claim with a new token, in place of an expired one of the same tenant.
func (t *domainTx) claim(at *domainPlace) (Domain, error) {
	if at.claimedIn != "" {
		if !at.expired {
			return Domain{}, &DomainError{DomainDuplicate, "this tenant claims " + quoted(at.host) + " already"}
		}
		if err := t.exec(`DELETE FROM sys_domain_claim WHERE hostname = ?1 AND environment_id = ?2`, at.host, at.claimedIn); err != nil {
			return Domain{}, err
		}
		at.claims--
		if at.claimedIn == at.environment {
			at.names--
		}
	}
	switch {
	case at.claims >= MaxDomainClaims:
		return Domain{}, &DomainError{DomainLimit, "this tenant has as many unproved domains as it may"}
	case at.names >= MaxDomains:
		return Domain{}, &DomainError{DomainLimit, "this environment has as many domains as it may"}
	}
	now := t.s.now()
	err := t.exec(`INSERT INTO sys_domain_claim (hostname, environment_id, token, next_check_at, expires_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?4)`,
		at.host, at.environment, newDomainToken(), formatTime(now), formatTime(now.Add(DomainClaimLifetime)))
	if err != nil {
		return Domain{}, err
	}
	return t.read(claimColumns+` WHERE c.hostname = ?1 AND c.environment_id = ?2`, at.host, at.environment)
}

// take removes the name from an environment.
func (t *domainTx) take(at *domainPlace) error {
	if !at.holds() {
		return notFound("domain " + quoted(at.host))
	}
	if at.owner == at.environment {
		return t.exec(`DELETE FROM sys_domain WHERE hostname = ?1`, at.host)
	}
	return t.exec(`DELETE FROM sys_domain_claim WHERE hostname = ?1 AND environment_id = ?2`, at.host, at.environment)
}

// moveWithin moves a name between two environments of one tenant.
func (t *domainTx) moveWithin(old, next *domainPlace) (Domain, error) {
	if next.names >= MaxDomains {
		return Domain{}, &DomainError{DomainLimit, "this environment has as many domains as it may"}
	}
	if old.owner == old.environment {
		if err := t.exec(`UPDATE sys_domain SET environment_id = ?2 WHERE hostname = ?1`, old.host, next.environment); err != nil {
			return Domain{}, err
		}
		return t.read(verifiedColumns+` WHERE d.hostname = ?1`, old.host)
	}
	err := t.exec(`UPDATE sys_domain_claim SET environment_id = ?3 WHERE hostname = ?1 AND environment_id = ?2`,
		old.host, old.environment, next.environment)
	if err != nil {
		return Domain{}, err
	}
	return t.read(claimColumns+` WHERE c.hostname = ?1 AND c.environment_id = ?2`, old.host, next.environment)
}

// moveAcross takes a name from one tenant and makes it a claim of another.
func (t *domainTx) moveAcross(old, next *domainPlace) (Domain, error) {
	if err := t.take(old); err != nil {
		return Domain{}, err
	}
	return t.claim(next)
}

// read returns one domain.
func (t *domainTx) read(columns string, args ...any) (d Domain, err error) {
	found := false
	err = t.query(func(rows *sql.Rows) error {
		found = true
		d, err = scanDomain(rows)
		return err
	}, `SELECT `+columns, args...)
	if err == nil && !found {
		err = notFound("domain")
	}
	return d, err
}

// audit writes the row of the audit log that belongs to the change.
func (t *domainTx) audit(action, tenant, environment, host string, detail map[string]string) error {
	var text any
	if detail != nil {
		text = mustJSON(detail)
	}
	return t.exec(`INSERT INTO sys_audit_log (at, actor, actor_kind, action, organization_id, environment_id, subject, detail)
 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`,
		formatTime(t.s.now()), t.actor, nullText(t.actorKind), action, nullText(tenant), nullText(environment), host, text)
}
