package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

func credentialAnswer(r *registry.DatabaseCredential, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{body: r, version: r.Version}, nil
}

// newCredentialAnswer answers with the record of a new credential, without its secret.
func (c *call) newCredentialAnswer(r *registry.DatabaseCredential, replayed bool) (answer, error) {
	tenant, environment := c.place()
	ans, err := credentialAnswer(r, nil)
	return created(ans, err, replayed, tenant, "environments", environment, "credentials", r.ID.String())
}

func listCredentials(ctx context.Context, c *call) (answer, error) {
	page, err := c.query.page()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return list(c.Store.ListDatabaseCredentials(ctx, tenant, environment, page))
}

func getCredential(ctx context.Context, c *call) (answer, error) {
	tenant, environment := c.place()
	return credentialAnswer(c.Store.GetDatabaseCredential(ctx, tenant, environment, c.PathValue("credential")))
}

func createCredential(ctx context.Context, c *call) (answer, error) {
	var n registry.NewDatabaseCredential
	var scope string
	err := decode(c.body, fields{"scope": text(&scope), "secret": text(&n.Secret), "expiresAt": instant(&n.ExpiresAt)})
	if err != nil {
		return answer{}, err
	}
	n.Scope = registry.CredentialScope(scope)
	// The registry keeps a hash of the request, on which nobody shall try secrets: it adds the secret under a key.
	rest, err := json.Marshal(map[string]any{"scope": scope, "expiresAt": n.ExpiresAt})
	if err != nil {
		return answer{}, err
	}
	if n.Idempotency, err = c.idempotencyOf(rest); err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	r, err := c.Store.CreateDatabaseCredential(ctx, c.actor, tenant, environment, n)
	if err != nil {
		return answer{}, err
	}
	return c.newCredentialAnswer(r, n.Idempotency != nil && n.Idempotency.Replayed)
}

func rotateCredential(ctx context.Context, c *call) (answer, error) {
	var secret string
	var expires time.Time
	if err := decode(c.body, fields{"secret": text(&secret), "expiresAt": instant(&expires)}); err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	r, err := c.Store.RotateDatabaseCredential(ctx, c.actor, tenant, environment, c.PathValue("credential"), version, secret, expires)
	if err != nil {
		return answer{}, err
	}
	return c.newCredentialAnswer(r, false)
}

func revokeCredential(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return credentialAnswer(c.Store.RevokeDatabaseCredential(ctx, c.actor, tenant, environment, c.PathValue("credential"), version))
}

// revealCredential shows a secret: no cache may keep that.
func revealCredential(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	r, secret, err := c.Store.RevealDatabaseCredential(ctx, c.actor, tenant, environment, c.PathValue("credential"), version)
	if err != nil {
		return answer{}, err
	}
	return answer{
		body: RevealedCredential{DatabaseCredential: *r, Secret: secret}, version: r.Version,
		header: http.Header{"Cache-Control": {"no-store"}},
	}, nil
}

func resealCredentials(ctx context.Context, c *call) (answer, error) {
	var p registry.Page
	limit := int64(registry.MaxReseal)
	if len(c.body) > 0 {
		err := decode(c.body, fields{"limit": whole(&limit, 1, registry.MaxReseal), "cursor": text(&p.Cursor)})
		if err != nil {
			return answer{}, err
		}
	}
	p.Limit = int(limit)
	r, err := c.Store.ResealDatabaseCredentials(ctx, c.actor, p)
	if err != nil {
		return answer{}, err
	}
	return answer{body: r}, nil
}
