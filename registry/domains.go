package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Domains returns the host names of an environment, verified and claimed, by name. An environment that does not exist
// has none. Errors wrap [ErrUnavailable].
func (s *Store) Domains(ctx context.Context, environment uuid.UUID) ([]Domain, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	return s.selectDomains(ctx, `SELECT `+verifiedColumns+` WHERE d.environment_id = ?1 AND d.verified_at IS NOT NULL
 UNION ALL SELECT `+claimColumns+` WHERE c.environment_id = ?1 ORDER BY 1 LIMIT ?2`, environment.String(), int64(2*MaxDomains))
}

// selectDomains runs a read whose columns are those of scanDomain.
func (s *Store) selectDomains(ctx context.Context, query string, args ...any) (list []Domain, err error) {
	err = s.query(ctx, func(rows *sql.Rows) error {
		d, err := scanDomain(rows)
		list = append(list, d)
		return err
	}, query, args...)
	return list, err
}

// AddDomain claims a host name for an environment. The claim serves nobody until it is proved ([Store.VerifyDomain]);
// its token is new, random, and this tenant's alone. The name may be in any form that an import takes.
//
// Several tenants may claim the same name, since none of them has shown yet that it owns it; the first to prove it has
// it, and that ends all claims. The error is a [*DomainError] with DomainDuplicate when the name is verified already, or
// when this tenant claims it in any of its environments and the claim has not expired (an expired one is replaced); with
// DomainInvalid or DomainLimit; or it wraps [ErrNotFound] when there is no such environment, or [ErrUnavailable], after
// which the claim may have been made when only the answer was lost.
func (s *Store) AddDomain(ctx context.Context, environment uuid.UUID, hostname, actor, actorKind string) (Domain, error) {
	host, err := claimableHost(hostname)
	if err != nil {
		return Domain{}, err
	}
	var d Domain
	err = s.changeDomain(ctx, actor, actorKind, func(tx *domainTx) error {
		at, err := tx.place(host, environment)
		if err != nil {
			return err
		}
		if at.owner != "" {
			return &DomainError{DomainDuplicate, quoted(host) + " is in use already"}
		}
		d, err = tx.claim(at)
		if err != nil {
			return err
		}
		return tx.audit("domain.add", at.tenant, at.environment, host, nil)
	})
	return d, err
}

// VerifyDomain makes a claimed name one that is served. The token is that of the claim that was proved; with
// DomainOperator there need be neither claim nor token, since the operator vouches. All claims to the name end.
//
// The error is a [*DomainError] with DomainDuplicate when the name is verified for another environment, with DomainStale
// when there is no claim with that token any more, or it wraps [ErrNotFound] or [ErrUnavailable].
func (s *Store) VerifyDomain(ctx context.Context, environment uuid.UUID, hostname, token string, method DomainMethod, actor, actorKind string) (Domain, error) {
	host, err := claimableHost(hostname)
	if err != nil {
		return Domain{}, err
	}
	switch method {
	case DomainDNS, DomainHTTP, DomainOperator:
	default:
		return Domain{}, &DomainError{DomainInvalid, quoted(string(method)) + " is no method of verification"}
	}
	var d Domain
	err = s.changeDomain(ctx, actor, actorKind, func(tx *domainTx) error {
		at, err := tx.place(host, environment)
		if err != nil {
			return err
		}
		switch {
		case at.owner == at.environment:
			// It is proved already: by another gateway, or by an answer that was lost.
			d, err = tx.read(verifiedColumns+` WHERE d.hostname = ?1`, host)
			return err
		case at.owner != "":
			return &DomainError{DomainDuplicate, quoted(host) + " is in use already"}
		case method != DomainOperator && (token == "" || token != at.token):
			return &DomainError{DomainStale, "there is no claim to " + quoted(host) + " with this token any more"}
		}
		// A row that is there is unverified: somebody's plain SQL, which blocks nobody.
		now := formatTime(s.now())
		if err := tx.exec(`INSERT INTO sys_domain (hostname, environment_id, verified_at, verification_method, verification_token, checked_at)
 VALUES (?1, ?2, ?3, ?4, ?5, ?3)
 ON CONFLICT (hostname) DO UPDATE SET environment_id = excluded.environment_id, verified_at = excluded.verified_at,
  verification_method = excluded.verification_method, verification_token = excluded.verification_token, checked_at = excluded.checked_at`,
			host, at.environment, now, string(method), nullText(token)); err != nil {
			return err
		}
		if err := tx.audit("domain.verify", at.tenant, at.environment, host, map[string]string{"method": string(method)}); err != nil {
			return err
		}
		d, err = tx.read(verifiedColumns+` WHERE d.hostname = ?1`, host)
		return err
	})
	return d, err
}

// RemoveDomain takes a host name, verified or claimed, from an environment. The error wraps [ErrNotFound] when it is not
// there, or [ErrUnavailable].
func (s *Store) RemoveDomain(ctx context.Context, environment uuid.UUID, hostname, actor, actorKind string) error {
	host, err := claimableHost(hostname)
	if err != nil {
		return err
	}
	return s.changeDomain(ctx, actor, actorKind, func(tx *domainTx) error {
		at, err := tx.place(host, environment)
		if err != nil {
			return err
		}
		if err := tx.take(at); err != nil {
			return err
		}
		return tx.audit("domain.remove", at.tenant, at.environment, host, nil)
	})
}

// MoveDomain takes a host name from one environment to another. Within a tenant it stays what it is: the tenant has
// proved that it owns the name, or goes on claiming it with the same token. Another tenant has to prove it anew, with a
// token of its own: the name serves nobody from the moment on in which this is seen, and never the old tenant again. The
// errors are those of [Store.AddDomain].
func (s *Store) MoveDomain(ctx context.Context, hostname string, from, to uuid.UUID, actor, actorKind string) (Domain, error) {
	host, err := claimableHost(hostname)
	if err != nil {
		return Domain{}, err
	}
	var d Domain
	err = s.changeDomain(ctx, actor, actorKind, func(tx *domainTx) error {
		old, err := tx.place(host, from)
		if err != nil {
			return err
		}
		next, err := tx.place(host, to)
		if err != nil {
			return err
		}
		switch {
		case from == to:
			return &DomainError{DomainDuplicate, quoted(host) + " is there already"}
		case !old.holds():
			return notFound("domain " + quoted(host))
		case old.tenant == next.tenant:
			d, err = tx.moveWithin(old, next)
		default:
			d, err = tx.moveAcross(old, next)
		}
		if err != nil {
			return err
		}
		detail := map[string]string{"from": old.environment, "to": next.environment}
		if old.tenant == next.tenant {
			return tx.audit("domain.move", next.tenant, next.environment, host, detail)
		}
		// Each tenant reads its own rows only, and not where the name went or came from; the operator reads them all.
		return errors.Join(tx.audit("domain.move", "", "", host, detail),
			tx.audit("domain.remove", old.tenant, old.environment, host, nil),
			tx.audit("domain.add", next.tenant, next.environment, host, nil))
	})
	return d, err
}

// changeDomain runs f, which writes its row of the audit log itself, in one transaction. What f refuses is returned as it is,
// and then nothing is written.
func (s *Store) changeDomain(ctx context.Context, actor, actorKind string, f func(*domainTx) error) error {
	if err := s.migrated(); err != nil {
		return err
	}
	if err := checkText(actor); err != nil {
		return fmt.Errorf("actor %w", err)
	}
	if actorKind != "" && !validName(actorKind) {
		return errors.New("actor kind must be 1 to 63 of a-z, 0-9, '.', '_' and '-'")
	}
	var refused error
	err := s.transact(ctx, func(sqlTx *sql.Tx) error {
		err := f(&domainTx{s: s, ctx: ctx, tx: sqlTx, actor: actor, actorKind: actorKind})
		var refusal *DomainError
		if errors.As(err, &refusal) || errors.Is(err, ErrNotFound) {
			refused = err
			return errRollBack
		}
		return err
	})
	if refused != nil {
		return refused
	}
	return err
}

// errRollBack makes a transaction roll back; nobody sees it.
var errRollBack = &constraintError{"refused"}

func notFound(what string) error { return fmt.Errorf("%s: %w", what, ErrNotFound) }
