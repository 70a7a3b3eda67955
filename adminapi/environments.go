package adminapi

import (
	"context"

	"github.com/tenantgate/tenantgate/registry"
)

// environmentAnswer answers with an environment.
func environmentAnswer(e *registry.Environment, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{body: e, version: e.Version}, nil
}

// place returns the two names in the path of an environment.
func (c *call) place() (tenant, environment string) {
	return c.PathValue("tenant"), c.PathValue("environment")
}

func listEnvironments(ctx context.Context, c *call) (answer, error) {
	f := registry.EnvironmentFilter{}
	var status, kind string
	for name, to := range map[string]*string{"status": &status, "type": &kind, "region": &f.Region} {
		var err error
		if *to, err = c.query.text(name); err != nil {
			return answer{}, err
		}
	}
	f.Status, f.Type = registry.Status(status), registry.EnvironmentType(kind)
	var err error
	if f.Page, err = c.query.page(); err != nil {
		return answer{}, err
	}
	return list(c.Store.ListEnvironments(ctx, c.PathValue("tenant"), f))
}

func getEnvironment(ctx context.Context, c *call) (answer, error) {
	tenant, environment := c.place()
	return environmentAnswer(c.Store.GetEnvironment(ctx, tenant, environment))
}

func createEnvironment(ctx context.Context, c *call) (answer, error) {
	doc, err := document(c.body, registry.DecodeEnvironment)
	if err != nil {
		return answer{}, err
	}
	n := registry.NewEnvironment{DocumentEnvironment: *doc}
	if n.Idempotency, err = c.idempotency(); err != nil {
		return answer{}, err
	}
	e, err := c.Store.CreateEnvironment(ctx, c.actor, c.PathValue("tenant"), n)
	if err != nil {
		return answer{}, err
	}
	ans, err := environmentAnswer(e, nil)
	return created(ans, err, n.Idempotency != nil && n.Idempotency.Replayed, e.TenantID.String(), "environments", e.ID.String())
}

func updateEnvironment(ctx context.Context, c *call) (answer, error) {
	p, err := document(c.body, registry.DecodeEnvironmentPatch)
	if err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return environmentAnswer(c.Store.UpdateEnvironment(ctx, c.actor, tenant, environment, version, p))
}

func transitionEnvironment(action registry.Action) serve {
	return func(ctx context.Context, c *call) (answer, error) {
		t, version, err := c.transition(action)
		if err != nil {
			return answer{}, err
		}
		tenant, environment := c.place()
		return environmentAnswer(c.Store.TransitionEnvironment(ctx, c.actor, tenant, environment, version, t))
	}
}

func makeDefault(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return environmentAnswer(c.Store.MakeDefault(ctx, c.actor, tenant, environment, version))
}

func deleteEnvironment(ctx context.Context, c *call) (answer, error) {
	force, version, err := c.removal()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return removed(c.Store.DestroyEnvironment(ctx, c.actor, tenant, environment, version, force))
}

func listEnvironmentAliases(ctx context.Context, c *call) (answer, error) {
	tenant, environment := c.place()
	items, err := c.Store.EnvironmentAliases(ctx, tenant, environment)
	return list(items, "", err)
}

func deleteEnvironmentAlias(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return removed(c.Store.RemoveEnvironmentAlias(ctx, c.actor, tenant, environment, c.PathValue("alias")))
}
