package router

import (
	"errors"
	"net/netip"
)

// The refusals by a tenant's policy. They tell the client what to do about it; which addresses pass, or how long a sign-in
// lasts, is the tenant's own affair.
var (
	refuseAddress = refusePolicyDenied.WithDetail("The tenant's access policy does not allow your address.").
			WithCause(errors.New("the client's address is not in ipWhitelist"))
	refuseNoMFA = refusePolicyDenied.WithDetail("The tenant's access policy requires a sign-in with more than one factor.").
			WithCause(errors.New("requireMFA: nothing proves a second factor"))
	refuseNoSSO = refusePolicyDenied.WithDetail("The tenant's access policy requires a sign-in with its identity provider.").
			WithCause(errors.New("requireSSO: nothing proves a sign-in with the identity provider"))
	refuseOldSignIn = refusePolicyDenied.WithDetail("The tenant's access policy requires you to sign in again.").
			WithCause(errors.New("sessionTimeout: the sign-in is too old, or of unknown age"))
)

// admitPolicy refuses what the tenant's access policy does not allow. What nobody can prove is not allowed: a tenant that
// demands a second factor admits no request of which nobody knows who makes it. Demands on a sign-in do not concern API
// keys, the list of addresses does.
func admitPolicy(r *Request, d *Decision) *Refusal {
	policy := d.Resolved.Tenant.SecurityPolicy
	if policy == nil {
		return nil
	}
	a := &policy.AccessControl
	if len(a.IPWhitelist) > 0 {
		client, _ := netip.ParseAddr(r.ClientIP) // the zero address is in no list
		if !a.AllowsAddress(client) {
			return refuseAddress
		}
	}
	if d.Machine {
		return nil
	}
	switch {
	case a.RequireMFA && !d.MFA:
		return refuseNoMFA
	case a.RequireSSO && !d.SSO:
		return refuseNoSSO
	case a.SessionTimeout > 0 && d.SignedInAt.IsZero(),
		a.SessionTimeout > 0 && r.Now.Unix()-d.SignedInAt.Unix() > a.SessionTimeout:
		return refuseOldSignIn
	}
	return nil
}
