package registry

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
)

// Promise: a creation that is asked for again with its key gives what the first one made, also when both are under way at
// once; the key is refused for another request, and is another actor's own.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		create := func(actor Actor, slug string, i *Idempotency) (*Tenant, error) {
			return s.CreateTenant(ctx, actor, NewTenant{DocumentTenant: DocumentTenant{Slug: slug}, Idempotency: i})
		}
		key := func(request string) *Idempotency { return &Idempotency{Key: "k1", RequestHash: hashOf(request)} }
		i := key("acme")
		first := must(create(operator, "acme", i))(t)
		if i.Replayed {
			t.Error("the first one is no replay")
		}
		rows := counts(t, s)
		i = key("acme")
		if again := must(create(operator, "acme", i))(t); again.ID != first.ID || !i.Replayed || counts(t, s) != rows {
			t.Errorf("got %+v, replayed %t", again, i.Replayed)
		}
		_, err := create(operator, "globex", key("globex"))
		wantRefusal(t, "another request", err, CodeDuplicate, "idempotencyKey")
		must(create(Actor{ID: "other"}, "globex", key("globex")))(t)
		for what, i := range map[string]*Idempotency{"no key": {RequestHash: hashOf("x")}, "no hash": {Key: "k"}, "upper": {Key: "k", RequestHash: strings.Repeat("A", 64)}} {
			_, err := create(operator, "x", i)
			wantRefusal(t, what, err, CodeInvalid, "idempotencyKey")
		}
		_, err = create(operator, "x", &Idempotency{Key: strings.Repeat("k", 256), RequestHash: hashOf("x")})
		wantRefusal(t, "long key", err, CodeTooLong, "idempotencyKey")

		// Nothing is remembered of what was refused.
		_, err = create(operator, "acme", &Idempotency{Key: "k2", RequestHash: hashOf("x")})
		wantRefusal(t, "refused", err, CodeDuplicate, "slug")
		must(create(operator, "initech", &Idempotency{Key: "k2", RequestHash: hashOf("y")}))(t)

		// Many at once.
		ids := make([]uuid.UUID, 8)
		fresh := atomic.Int64{}
		together(len(ids), func(n int) {
			i := &Idempotency{Key: "k3", RequestHash: hashOf("many")}
			tenant, err := create(operator, "many", i)
			if err != nil {
				t.Error(err)
				return
			}
			if ids[n] = tenant.ID; !i.Replayed {
				fresh.Add(1)
			}
		})
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("got %v", ids)
				break
			}
		}
		if fresh.Load() != 1 {
			t.Errorf("%d made it", fresh.Load())
		}

		// The other creations.
		for what, make := range map[string]func(i *Idempotency) (string, error){
			"environment": func(i *Idempotency) (string, error) {
				e, err := s.CreateEnvironment(ctx, operator, "acme", NewEnvironment{DocumentEnvironment: DocumentEnvironment{Slug: "qa"}, Idempotency: i})
				if err != nil {
					return "", err
				}
				return e.ID.String(), nil
			},
			"member": func(i *Idempotency) (string, error) {
				m, err := s.AddMember(ctx, operator, "acme", "", NewMember{UserID: "u", Role: "env_user", Idempotency: i})
				if err != nil {
					return "", err
				}
				return m.UserID, nil
			},
			"key": func(i *Idempotency) (string, error) {
				k, err := s.CreateAPIKey(ctx, operator, "acme", "", NewAPIKey{Name: "k", KeySecret: KeySecret{Hash: hashOf(NewID().String())}, Idempotency: i})
				if err != nil {
					return "", err
				}
				return k.ID.String(), nil
			},
		} {
			a, err1 := make(&Idempotency{Key: what, RequestHash: hashOf(what)})
			i := &Idempotency{Key: what, RequestHash: hashOf(what)}
			b, err2 := make(i)
			if a != b || err1 != nil || err2 != nil || !i.Replayed {
				t.Errorf("%s: %s, then %s, %v, %v", what, a, b, err1, err2)
			}
		}

		// After a day a key is free again.
		run(t, s, `UPDATE sys_idempotency SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-25 hours')`)
		run(t, s, `UPDATE sys_operation SET at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-25 hours')`)
		must(create(operator, "tomorrow", key("tomorrow")))(t)
		if got := one[string](t, s, `SELECT (SELECT group_concat(key) FROM sys_idempotency) || ' ' || (SELECT count(*) FROM sys_operation)`); got != "k1 1" {
			t.Errorf("left: %s", got)
		}
		sound(t, s)
	})
}
