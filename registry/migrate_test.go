package registry

import (
	"testing"
	"time"
)

func TestMigrate(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		b := time.Now()
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(b))
		t.Log(one[int](t, s, "SELECT count(*) FROM sqlite_master"), one[string](t, s, "SELECT id FROM sys_registry"))
		run(t, s, "INSERT INTO sys_organization (id, slug, name) VALUES ('0190a000-0000-7000-8000-000000000001','acme','Acme')")
		run(t, s, "INSERT INTO sys_environment (id, organization_id, slug, name) VALUES ('0190a000-0000-7000-8000-000000000011','0190a000-0000-7000-8000-000000000001','production','P')")
		for i := 0; i < 3; i++ {
			b = time.Now()
			r, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"})
			t.Log(time.Since(b))
			t.Logf("%+v %v", r, err)
		}
		c, err := s.Changes(t.Context(), 0, 0)
		t.Logf("%+v %v", c, err)
	})
}
