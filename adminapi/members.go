package adminapi

import (
	"context"

	"github.com/tenantgate/tenantgate/registry"
)

func memberAnswer(m *registry.Member, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{body: m, version: m.Version}, nil
}

func listMembers(ctx context.Context, c *call) (answer, error) {
	var f registry.MemberFilter
	var err error
	if f.Role, err = c.query.text("role"); err != nil {
		return answer{}, err
	}
	if f.Page, err = c.query.page(); err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return list(c.Store.ListMembers(ctx, tenant, environment, f))
}

func getMember(ctx context.Context, c *call) (answer, error) {
	tenant, environment := c.place()
	return memberAnswer(c.Store.GetMember(ctx, tenant, environment, c.PathValue("user")))
}

func addMember(ctx context.Context, c *call) (answer, error) {
	var n registry.NewMember
	err := decode(c.body, fields{"userId": text(&n.UserID), "role": text(&n.Role)})
	if err != nil {
		return answer{}, err
	}
	if n.Idempotency, err = c.idempotency(); err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	m, err := c.Store.AddMember(ctx, c.actor, tenant, environment, n)
	if err != nil {
		return answer{}, err
	}
	ans, err := memberAnswer(m, nil)
	return created(ans, err, n.Idempotency != nil && n.Idempotency.Replayed, tenant, "environments", environment, "members", m.UserID)
}

func updateMember(ctx context.Context, c *call) (answer, error) {
	var role string
	if err := decode(c.body, fields{"role": text(&role)}); err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return memberAnswer(c.Store.SetMemberRole(ctx, c.actor, tenant, environment, c.PathValue("user"), role, version))
}

func removeMember(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	tenant, environment := c.place()
	return removed(c.Store.RemoveMember(ctx, c.actor, tenant, environment, c.PathValue("user"), version))
}
