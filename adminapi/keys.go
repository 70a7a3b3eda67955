package adminapi

import (
	"context"
	"net/http"
	"time"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// maxGrace is the longest time for which a key that was replaced still holds.
const maxGrace = 30 * 24 * time.Hour

func keyAnswer(k *registry.APIKey, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{body: k, version: k.Version}, nil
}

// secretAnswer shows a new key, once: no cache may keep that.
func (c *call) secretAnswer(k *registry.APIKey, key string, replayed bool) (answer, error) {
	if replayed {
		key = ""
	}
	tenant, environment := c.place()
	ans, err := created(answer{body: NewKey{APIKey: *k, Key: key}, version: k.Version}, nil, replayed,
		tenant, "environments", environment, "api-keys", k.ID.String())
	ans.header.Set("Cache-Control", "no-store")
	return ans, err
}

func listKeys(ctx context.Context, c *call) (answer, error) {
	page, err := c.query.page()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return list(c.Store.ListAPIKeys(ctx, tenant, environment, page))
}

func getKey(ctx context.Context, c *call) (answer, error) {
	tenant, environment := c.place()
	return keyAnswer(c.Store.GetAPIKey(ctx, tenant, environment, c.PathValue("key")))
}

// newSecret makes a key for an environment, which its prefix names.
func (c *call) newSecret(ctx context.Context) (key string, secret registry.KeySecret, err error) {
	tenant, environment := c.place()
	e, err := c.Store.GetEnvironment(ctx, tenant, environment)
	if err != nil {
		return "", secret, err
	}
	if key, err = credential.GenerateKey(e.Slug, c.api.options.Random); err != nil {
		return "", secret, err
	}
	return key, registry.KeySecret{Hash: credential.LookupKey(key), Last4: credential.LastFour(key)}, nil
}

func createKey(ctx context.Context, c *call) (answer, error) {
	var n registry.NewAPIKey
	err := decode(c.body, fields{
		"name": text(&n.Name), "userId": text(&n.UserID), "role": text(&n.Role), "scopes": texts(&n.Scopes),
		"quotas": keyQuotas(&n.Quotas), "expiresAt": instant(&n.ExpiresAt),
	})
	if err != nil {
		return answer{}, err
	}
	if n.Idempotency, err = c.idempotency(); err != nil {
		return answer{}, err
	}
	var key string
	if key, n.KeySecret, err = c.newSecret(ctx); err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	k, err := c.Store.CreateAPIKey(ctx, c.actor, tenant, environment, n)
	if err != nil {
		return answer{}, err
	}
	return c.secretAnswer(k, key, n.Idempotency != nil && n.Idempotency.Replayed)
}

func rotateKey(ctx context.Context, c *call) (answer, error) {
	var grace int64
	if len(c.body) > 0 {
		if err := decode(c.body, fields{"graceSeconds": whole(&grace, 0, int64(maxGrace/time.Second))}); err != nil {
			return answer{}, err
		}
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	key, secret, err := c.newSecret(ctx)
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	k, err := c.Store.RotateAPIKey(ctx, c.actor, tenant, environment, c.PathValue("key"), version, secret, time.Duration(grace)*time.Second)
	if err != nil {
		return answer{}, err
	}
	return c.secretAnswer(k, key, false)
}

func revokeKey(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	ans, err := keyAnswer(c.Store.RevokeAPIKey(ctx, c.actor, tenant, environment, c.PathValue("key"), version))
	ans.status = http.StatusOK
	return ans, err
}
