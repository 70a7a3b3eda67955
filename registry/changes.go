package registry

import "github.com/google/uuid"

// Change is one row of sys_change, written by trigger for every write that can alter a [Resolved] snapshot, or a
// session, key or membership that admits somebody.
type Change struct {
	// Seq grows with each commit and is never reused.
	Seq int64
	// Entity is the table without its prefix: organization, environment, domain, plan, environment_member, api_key, session, …
	// One more, registry, comes without ids and key, and means that anything may have changed: a large import writes it
	// instead of a row for each record.
	Entity string
	// Tenant is the tenant that is touched; zero for a plan, or where none is known. Something that moves from one
	// tenant to another makes two rows.
	Tenant uuid.UUID
	// Environment is the environment that is touched; zero where the whole tenant is.
	Environment uuid.UUID
	// Key is the lookup key that this change made, changed or removed, as in [Reference.Key]: a tenant's slug, a
	// host name, a plan's name, a hash; empty where there is none. A renamed key makes two rows, old and new.
	Key string
}

// Changes is what one poll of the change log brings.
type Changes struct {
	// Registry identifies the database: it changes when the registry was replaced by another.
	Registry uuid.UUID
	// Oldest is the lowest Seq still kept; a poller whose position is below Oldest-1 has missed changes.
	// It is Newest+1 when the log is empty.
	Oldest int64
	// Newest is the highest Seq ever given; a position above it means that the registry was restored from a backup.
	Newest int64
	// Replaced says that the registry is a file, and that another file has its name since the call before. Whatever was
	// read may be out of date then, even where the numbers fit.
	Replaced bool
	// List holds the changes after the position asked for, by Seq, at most as many as asked for.
	List []Change
}
