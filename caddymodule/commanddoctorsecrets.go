package caddymodule

import (
	"context"
	"fmt"
	"slices"

	"github.com/tenantgate/tenantgate/registry"
)

// secrets holds the keys that have sealed credentials against those of the configuration. Where there are no credentials
// there is nothing to say.
func (d *doctor) secrets(ctx context.Context, store *registry.Store) {
	if d.config == nil {
		return
	}
	uses, err := store.SecretKeyUses(ctx)
	if err != nil {
		d.add(findingError, "secrets", "look again in a moment", "%v", err)
		return
	}
	configured := d.config.Apps.Tenants.Secrets.ids()
	var all int64
	var lost, old []string
	for _, k := range uses {
		if k.Credentials == 0 {
			continue
		}
		all += k.Credentials
		switch i := slices.Index(configured, k.ID); {
		case i < 0:
			lost = append(lost, fmt.Sprintf("%s (%d)", k.ID, k.Credentials))
		case i > 0:
			old = append(old, fmt.Sprintf("%s (%d)", k.ID, k.Credentials))
		}
	}
	switch {
	case len(lost) > 0:
		d.add(findingError, "secrets", "put them back into the Caddyfile with: secrets { key ID KEY }; what they have sealed cannot be revealed without them",
			"credentials are sealed with keys that the configuration does not have: %s", some(lost))
	case len(old) > 0:
		d.add(findingNote, "secrets", "tenantgate credential reseal, after which these keys are not needed any more",
			"credentials are sealed with other keys than the first: %s", some(old))
	case all > 0:
		d.add(findingOK, "secrets", "", "%d credentials are sealed with the first key", all)
	}
}

// ids are the names of the keys, in their order.
func (s *Secrets) ids() []string {
	if s == nil {
		return nil
	}
	list := make([]string, len(s.Keys))
	for i, k := range s.Keys {
		list[i] = k.ID
	}
	return list
}
