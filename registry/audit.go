package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// AuditEntry is one row of the audit log.
type AuditEntry struct {
	// Seq grows, and is never used twice.
	Seq int64 `json:"seq"`
	// At is UTC.
	At time.Time `json:"at"`
	// Actor is a user's id or the name of a tool; ActorKind says which, or is empty.
	Actor     string `json:"actor"`
	ActorKind string `json:"actorKind,omitempty"`
	// Action is like organization.suspend.
	Action string `json:"action"`
	// Tenant and Environment are ids, of what may be gone; the nil UUID where there is none.
	Tenant      uuid.UUID `json:"tenantId,omitzero"`
	Environment uuid.UUID `json:"environmentId,omitzero"`
	// Subject is the slug, id, host name or plan name of what was touched.
	Subject string `json:"subject,omitempty"`
	// Detail says what changed, without secrets: {"reason": …, "before": {…}, "after": {…}, "version": …}; nil where there
	// is nothing to say.
	Detail     json.RawMessage `json:"detail,omitempty"`
	RequestID  string          `json:"requestId,omitempty"`
	RemoteAddr string          `json:"remoteAddr,omitempty"`
}

// AuditFilter says which rows [Store.ListAudit] returns: those for which everything holds that is given.
type AuditFilter struct {
	// Tenant and Environment are ids, since what they named may be gone; the nil UUID for all.
	Tenant, Environment uuid.UUID
	// Actor is exactly this one.
	Actor string
	// Action is exactly this one, or with a dot at its end, like "organization.", all that begin with it.
	Action string
	// Since is the first instant, Until the first one after; zero: no bound.
	Since, Until time.Time
	Page
}

const selectAudit = `SELECT seq, at, actor, actor_kind, action, organization_id, environment_id, subject, detail, request_id, remote_addr FROM sys_audit_log`

func (v *values) audit() *AuditEntry {
	e := &AuditEntry{
		Seq: v.number(), At: storedInstantOf(v.text()), Actor: v.text(), ActorKind: v.text(), Action: v.text(),
		Tenant: storedID(v.text()), Environment: storedID(v.text()), Subject: v.text(),
	}
	if text := v.text(); text != "" {
		e.Detail = json.RawMessage(text)
	}
	e.RequestID, e.RemoteAddr = v.text(), v.text()
	return e
}

// ListAudit returns rows of the audit log, the newest first, and the cursor of the next part, which is "" after the last
// one. Errors: [*FieldError], [ErrUnavailable].
func (s *Store) ListAudit(ctx context.Context, f AuditFilter) (list []*AuditEntry, next string, err error) {
	limit, err := f.size()
	if err != nil {
		return nil, "", err
	}
	c, err := f.conditions()
	if err != nil {
		return nil, "", err
	}
	if err := s.migrated(); err != nil {
		return nil, "", err
	}
	err = halvingPage(limit, func(limit int) error {
		list, next = []*AuditEntry{}, ""
		more, err := c.page(ctx, s, selectAudit, "seq DESC", limit, func(v *values) error {
			list = append(list, v.audit())
			return nil
		})
		if more {
			next = cursor("audit", strconv.FormatInt(list[limit-1].Seq, 10))
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}

func (f *AuditFilter) conditions() (*conditions, error) {
	after, err := f.after("audit", 1)
	if err != nil {
		return nil, err
	}
	c := new(conditions)
	if after[0] != "" {
		seq, err := strconv.ParseInt(after[0], 10, 64)
		if err != nil {
			return nil, invalid("cursor", errors.New("is none that this list has given"))
		}
		c.add("seq < ?", seq)
	}
	if f.Tenant != uuid.Nil {
		c.add("organization_id = ?", f.Tenant.String())
	}
	if f.Environment != uuid.Nil {
		c.add("environment_id = ?", f.Environment.String())
	}
	for _, filter := range []struct{ name, value string }{{"actor", f.Actor}, {"action", f.Action}} {
		if filter.value == "" {
			continue
		}
		if err := checkText(filter.value); err != nil {
			return nil, invalid(filter.name, err)
		}
		if filter.name == "action" && strings.HasSuffix(filter.value, ".") {
			c.add("action >= ? AND action < ?", filter.value, strings.TrimSuffix(filter.value, ".")+"/") // "/" comes after "."
			continue
		}
		c.add(filter.name+" = ?", filter.value)
	}
	if !f.Since.IsZero() {
		c.add("at >= ?", formatTime(f.Since))
	}
	if !f.Until.IsZero() {
		c.add("at < ?", formatTime(f.Until))
	}
	return c, nil
}

// RetentionKey is the key in a tenant's metadata that says for how many days its rows stay in the audit log, from 1 to
// 36500. It is metadata so that import, export and every other writer have it.
const RetentionKey = "compliance.auditRetentionDays"

// maxRetention is a hundred years, in days.
const maxRetention = 36500

// retention reads the value of [RetentionKey]; false where it is no number of days.
func retention(text string) (days int, ok bool) {
	days, err := strconv.Atoi(text)
	return days, err == nil && days >= 1 && days <= maxRetention && strconv.Itoa(days) == text
}

// checkRetention returns an error for a retention that is none.
func checkRetention(metadata map[string]string) error {
	text, said := metadata[RetentionKey]
	if _, ok := retention(text); said && !ok {
		return &FieldError{Field: "metadata[" + quoted(RetentionKey) + "]", Code: CodeInvalid, Message: "must be a number of days from \"1\" to \"36500\""}
	}
	return nil
}

// trimAtOnce is how many rows one statement removes, so that other writers get their turn, and of how many tenants.
const trimAtOnce = 1000

const (
	// said is what a tenant says, as text; a text that is no number of days has another text as a number.
	said = `CAST(metadata->>'$."` + RetentionKey + `"' AS TEXT)`
	// selectRetentions takes the id to begin after and the limit.
	selectRetentions = `SELECT id, ` + said + ` FROM sys_organization WHERE id > ?1 AND metadata LIKE '%"` + RetentionKey + `"%' ORDER BY id LIMIT ?2`
	// deleteAuditOf takes a JSON array of tenants' ids and bounds, and how many rows at once.
	deleteAuditOf = `DELETE FROM sys_audit_log WHERE seq IN
 (SELECT a.seq FROM json_each(?1) j CROSS JOIN sys_audit_log a ON a.organization_id = j.value->>0 AND a.at < j.value->>1 LIMIT ?2)`
	// deleteAuditRest takes a bound and how many rows at once. What a tenant says has priority, whatever it is.
	deleteAuditRest = `DELETE FROM sys_audit_log WHERE seq IN (SELECT a.seq FROM sys_audit_log a WHERE a.at < ?1 AND NOT EXISTS
 (SELECT 1 FROM sys_organization WHERE id = a.organization_id AND metadata LIKE '%"` + RetentionKey + `"%'
   AND CAST(CAST(` + said + ` AS INTEGER) AS TEXT) = ` + said + ` AND CAST(` + said + ` AS INTEGER) BETWEEN 1 AND 36500) LIMIT ?2)`
)

// TrimAudit removes the rows of the audit log that are older than their tenant's [RetentionKey] says, and of tenants that
// do not say it, or are gone, and rows of no tenant, those that are older than keep; 0 keeps these for ever. A retention
// that another writer has set and that is no number of days counts as not said. It returns how many rows went. Errors:
// [ErrUnavailable].
func (s *Store) TrimAudit(ctx context.Context, now time.Time, keep time.Duration) (int64, error) {
	if err := s.migrated(); err != nil {
		return 0, err
	}
	var n int64
	for after := ""; ; {
		var bounds [][2]string
		count := 0
		err := s.query(ctx, func(rows *sql.Rows) error {
			var id string
			var text sql.NullString
			if err := rows.Scan(&id, &text); err != nil {
				return err
			}
			after = id
			count++
			if days, ok := retention(text.String); ok {
				bounds = append(bounds, [2]string{id, formatTime(now.UTC().AddDate(0, 0, -days))})
			}
			return nil
		}, selectRetentions, after, int64(trimAtOnce))
		if err == nil && len(bounds) > 0 {
			err = s.trim(ctx, &n, deleteAuditOf, mustJSON(bounds))
		}
		if err != nil {
			return n, err
		}
		if count < trimAtOnce {
			break
		}
	}
	if keep <= 0 {
		return n, nil
	}
	err := s.trim(ctx, &n, deleteAuditRest, formatTime(now.Add(-keep)))
	return n, err
}

// trim removes rows until there are none left, and adds up how many.
func (s *Store) trim(ctx context.Context, n *int64, statement, bound string) error {
	for {
		r, err := s.exec(ctx, statement, bound, int64(trimAtOnce))
		if err != nil {
			return err
		}
		m, err := r.RowsAffected()
		if err != nil {
			return s.classify(err)
		}
		if *n += m; m < trimAtOnce {
			return nil
		}
	}
}
