package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// admitMember refuses users who are not members of the environment, or in too low a role, where that is demanded.
func (rt *Router) admitMember(ctx context.Context, now time.Time, d *Decision) *Refusal {
	if rt.requireRole == "" && !d.Member {
		return nil
	}
	if d.User == "" {
		return rt.admitNobody(d)
	}
	ref := registry.Reference{Kind: registry.KindMember, Key: d.User, Environment: d.Resolved.Environment.IDText()}
	res, missing, failure := rt.resolve(ctx, ref, now)
	switch {
	case failure != nil:
		return failure
	case missing != nil:
		return refuseMembershipRequired.WithCause(errors.New("the user is not a member of the environment"))
	case res.Credential == nil || res.Environment.ID != d.Resolved.Environment.ID:
		return refuseRegistryUnavailable.WithCause(errNoCredential)
	}
	d.Roles = res.Credential.Roles
	role := res.Credential.Role
	if d.Machine && d.Credential != nil && d.Credential.Role.Lower(role) != role {
		role, d.Roles = d.Credential.Role, d.Credential.Roles // a key may do less than whom it acts as
	}
	return rt.admitRole(role)
}

// admitNobody is admitMember for a request of which no user is known.
func (rt *Router) admitNobody(d *Decision) *Refusal {
	switch {
	case rt.requireRole == "":
		return nil
	case d.Machine && d.Credential != nil:
		return rt.admitRole(d.Credential.Role)
	case d.Authenticated:
		return refuseMembershipRequired.WithCause(errors.New("the proof names no user"))
	}
	return refuseCredentialsInvalid.WithCause(errors.New("a role is required, and the request proves nothing"))
}

func (rt *Router) admitRole(role registry.Role) *Refusal {
	if rt.requireRole == "" || role.AtLeast(rt.requireRole) {
		return nil
	}
	return refuseRoleInsufficient.WithCause(fmt.Errorf("the role is %q, and %s is required", role, rt.requireRole))
}
