package registry

import (
	"fmt"
	"strings"
	"testing"
)

// Promise: members are added, changed, listed and removed, each with its row in the audit log and its version, and
// gateways hear of it.
func TestMembers(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		newTenant(t, s, "acme")
		env := must(s.GetEnvironment(ctx, "acme", ""))(t)
		before := must(s.Changes(ctx, 0, 0))(t)
		m := must(s.AddMember(ctx, operator, "acme", "", NewMember{UserID: "ü 1", Role: "env_user"}))(t)
		if m.UserID != "ü 1" || m.Role != "env_user" || m.Version != 1 || m.InvitedBy != operator.ID || m.CreatedAt.IsZero() {
			t.Errorf("got %+v", m)
		}
		if list := must(s.Changes(ctx, before.Newest, 0))(t).List; len(list) != 1 || list[0].Entity != "environment_member" || list[0].Environment != env.ID {
			t.Errorf("the change log has %+v", list)
		}
		if text, row := lastAudit(t, s); text != `member.add ü 1 {"after":{"role":"env_user"},"version":1}` || row.Environment != env.ID {
			t.Errorf("got %s", text)
		}
		_, err := s.AddMember(ctx, operator, "acme", "production", NewMember{UserID: "ü 1", Role: "env_admin"})
		wantRefusal(t, "twice", err, CodeDuplicate, "userId")
		m = must(s.SetMemberRole(ctx, operator, "acme", "", "ü 1", "env_admin", 1))(t)
		if m.Role != "env_admin" || m.Version != 2 {
			t.Errorf("got %+v", m)
		}
		if text, _ := lastAudit(t, s); text != `member.update ü 1 {"before":{"role":"env_user"},"after":{"role":"env_admin"},"version":2}` {
			t.Errorf("got %s", text)
		}
		rows := counts(t, s)
		if m := must(s.SetMemberRole(ctx, operator, "acme", "", "ü 1", "env_admin", 0))(t); m.Version != 2 || counts(t, s) != rows {
			t.Error("the same role again wrote something")
		}
		_, err = s.SetMemberRole(ctx, operator, "acme", "", "ü 1", "env_user", 1)
		wantRefusal(t, "stale", err, CodeVersionConflict, "")
		wantRefusal(t, "stale", s.RemoveMember(ctx, operator, "acme", "", "ü 1", 1), CodeVersionConflict, "")
		_, err = s.SetMemberRole(ctx, operator, "acme", "dev", "ü 1", "env_user", 0)
		wantRefusal(t, "in another environment", err, CodeNotFound, "")
		for what, test := range map[string]struct {
			m           NewMember
			code, field string
		}{
			"no user":      {NewMember{Role: "env_user"}, CodeInvalid, "userId"},
			"long user":    {NewMember{UserID: strings.Repeat("u", 256), Role: "env_user"}, CodeTooLong, "userId"},
			"control":      {NewMember{UserID: "a\x00", Role: "env_user"}, CodeInvalid, "userId"},
			"no role":      {NewMember{UserID: "u"}, CodeInvalid, "role"},
			"unknown role": {NewMember{UserID: "u", Role: "owner"}, CodeInvalid, "role"},
		} {
			_, err := s.AddMember(ctx, operator, "acme", "", test.m)
			wantRefusal(t, what, err, test.code, test.field)
		}
		for i := range 5 {
			must(s.AddMember(ctx, operator, "acme", "", NewMember{UserID: fmt.Sprintf("u%d", i), Role: roles[i%2]}))(t)
		}
		all := func(f MemberFilter) (names string) {
			for {
				list, next, err := s.ListMembers(ctx, "acme", "", f)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range list {
					names += m.UserID + " "
				}
				if f.Cursor = next; next == "" {
					return names
				}
			}
		}
		if got := all(MemberFilter{Page: Page{Limit: 2}}); got != "u0 u1 u2 u3 u4 ü 1 " {
			t.Errorf("got %s", got)
		}
		if got := all(MemberFilter{Role: "env_maker", Page: Page{Limit: 1}}); got != "u1 u3 " {
			t.Errorf("got %s", got)
		}
		_, _, err = s.ListMembers(ctx, "acme", "", MemberFilter{Role: "owner"})
		wantRefusal(t, "unknown role", err, CodeInvalid, "role")
		wantRefusal(t, "remove", s.RemoveMember(ctx, operator, "acme", "", "ü 1", 2), "", "")
		if text, _ := lastAudit(t, s); text != `member.remove ü 1 {"before":{"role":"env_admin"}}` {
			t.Errorf("got %s", text)
		}
		wantRefusal(t, "remove again", s.RemoveMember(ctx, operator, "acme", "", "ü 1", 0), CodeNotFound, "")
		sound(t, s)
	})
}
