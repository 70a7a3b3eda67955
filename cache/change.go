package cache

import (
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// Entities of the change log that mean something special here. Any other row touches the tenant, environment and key
// that it names.
const (
	entityRegistry = "registry"           // everything
	entityPlan     = "plan"               // Key is the plan's name
	entityAPIKey   = "api_key"            // Key is the hash
	entitySession  = "session"            // Key is the hash, or the token
	entityMember   = "environment_member" // Key is the user's id

	entityDatabaseCredential = "database_credential" // Key is its id; the cache has nothing of it
)

// everything stands for changes that are not known one by one.
var everything = []registry.Change{{Entity: entityRegistry}}

// touchesAll reports whether ch may alter any answer: the row says so, or it says nothing from which the cache could
// tell what it alters.
func touchesAll(ch registry.Change) bool {
	if ch.Entity == entityRegistry {
		return true
	}
	return ch.Tenant == uuid.Nil && ch.Environment == uuid.Nil && ch.Key == ""
}

// touches reports whether the answer e may be another one after ch. For an answer "unknown" it reports whether ch may
// have created what was missing.
func touches(ch registry.Change, e *entry) bool {
	if touchesAll(ch) {
		return true
	}
	switch {
	case ch.Entity == entityPlan:
		return e.resolved != nil && e.resolved.Tenant.Plan == ch.Key
	case oneCredential(ch):
		return e.ref.Key == ch.Key
	}
	return touchesKey(ch, e) || touchesOwner(ch, e)
}

// oneCredential: the row is about one API key, session, member or credential of a database, which alters nothing of the
// tenant whose it is. Without a key it could be any of the tenant's, and counts as a change to the tenant.
func oneCredential(ch registry.Change) bool {
	switch ch.Entity {
	case entityAPIKey, entitySession, entityMember, entityDatabaseCredential:
		return ch.Key != ""
	}
	return false
}

// touchesKey: the row names the key of the reference, as Key or (a reference by id) as the id itself.
func touchesKey(ch registry.Change, e *entry) bool {
	switch {
	case ch.Key != "" && ch.Key == e.ref.Key:
		return true
	case e.ref.Kind == registry.KindTenantID:
		return ch.Tenant != uuid.Nil && ch.Tenant.String() == e.ref.Key
	case e.ref.Kind == registry.KindEnvironmentID:
		return ch.Environment != uuid.Nil && ch.Environment.String() == e.ref.Key
	}
	return false
}

// touchesOwner: the row names the tenant or environment of the answer. A row about one environment leaves the others of
// its tenant alone, unless the reference left the choice of the environment to the registry, which may now choose
// another, or named one that was missing, or names the slug in the row's Key, which may now lead elsewhere.
func touchesOwner(ch registry.Change, e *entry) bool {
	if ch.Environment != uuid.Nil && e.resolved != nil && e.resolved.Environment.ID == ch.Environment {
		return true
	}
	if ch.Tenant == uuid.Nil || ch.Tenant != e.tenant() {
		return false
	}
	return ch.Environment == uuid.Nil || e.resolved == nil || e.ref.Environment == "" || e.ref.Environment == ch.Key
}

// touchesAny reports whether any of the changes touches e.
func touchesAny(changes []registry.Change, e *entry) bool {
	for _, ch := range changes {
		if touches(ch, e) {
			return true
		}
	}
	return false
}

// dropTouched drops every entry that one of the changes touches, and returns how many those were. It looks only at
// entries of the tenants and keys that are named; what names neither (a plan, an environment without its tenant,
// everything) costs one look at all entries.
func (t *table) dropTouched(changes []registry.Change) (n int) {
	var wide []registry.Change
	for _, ch := range changes {
		if touchesAll(ch) {
			return n + t.removeIf(func(*entry) bool { return true })
		}
		if ch.Entity == entityPlan || ch.Tenant == uuid.Nil && ch.Environment != uuid.Nil {
			wide = append(wide, ch)
			continue
		}
		touched := func(e *entry) bool { return touches(ch, e) }
		if ch.Key != "" {
			n += t.removeThose(t.owners.ofKey(ch.Key), touched)
		}
		if oneCredential(ch) {
			continue
		}
		if ch.Tenant != uuid.Nil {
			n += t.removeThose(t.owners.ofKey(ch.Tenant.String()), touched)
			n += t.removeThose(t.owners.ofTenant(ch.Tenant), touched)
		}
		if ch.Environment != uuid.Nil {
			n += t.removeThose(t.owners.ofKey(ch.Environment.String()), touched)
		}
	}
	if wide != nil {
		n += t.removeIf(func(e *entry) bool { return touchesAny(wide, e) })
	}
	return n
}
