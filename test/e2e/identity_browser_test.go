package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// browser keeps cookies, and sends "__Secure-" ones over http, too.
type browser struct {
	t       *testing.T
	g       *harness.Gateway
	origin  string
	cookies map[string]string
}

func (b *browser) cookie() string {
	var all []string
	for name, value := range b.cookies {
		all = append(all, name+"="+value)
	}
	return strings.Join(all, "; ")
}

// auth calls better-auth through the gateway.
func (b *browser) auth(method, path string, body, answer any) {
	b.t.Helper()
	header := http.Header{"Origin": {b.origin}, "Cookie": {b.cookie()}}
	cookies, err := callJSON(b.t.Context(), b.g.Client, method, "http://"+b.g.Address+"/api/auth"+path, header, body, answer)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range cookies {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
}

// page asks for a page of the application.
func (b *browser) page() harness.Ask { return withCookie("", b.cookie()) }

// sees fails the test unless a page comes to that within the time, which is how long a change may take.
func (b *browser) sees(within time.Duration, what, want string) {
	b.t.Helper()
	ask := b.page()
	took := harness.Eventually(b.t, within, func() error {
		got, err := b.tenantOf(b.t.Context(), ask)
		if err == nil && got != want {
			err = fmt.Errorf("%s: %q, want %q", what, got, want)
		}
		return err
	})
	b.t.Logf("%s: after %s", what, took.Round(time.Millisecond))
}

// tenantOf says what the upstream was told, "tenant/environment user", or a refusal's code.
func (b *browser) tenantOf(ctx context.Context, ask harness.Ask) (string, error) {
	answer, err := harness.Send(ctx, b.g.Client, b.g.Address, ask)
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return answer.Problem(b.t).Code, nil
	}
	e := answer.Echo(b.t)
	return fmt.Sprintf("%s/%s %s %s", strings.Join(e.Values("X-Tenant-Slug"), "+"), strings.Join(e.Values("X-Environment-Slug"), "+"),
		strings.Join(e.Values("X-User-ID"), "+"), strings.Join(e.Values("X-User-Role"), "+")), nil
}

func newBrowser(t *testing.T, g *harness.Gateway, origin string) *browser {
	return &browser{t: t, g: g, origin: origin, cookies: map[string]string{}}
}

// signUp makes a user and signs her in.
func (b *browser) signUp(email string) (user string) {
	b.t.Helper()
	var answer struct{ User struct{ ID string } }
	b.auth(http.MethodPost, "/sign-up/email", map[string]string{"name": "Somebody", "email": email, "password": "a password, long enough"}, &answer)
	return answer.User.ID
}

func (b *browser) signIn(email string) {
	b.t.Helper()
	b.auth(http.MethodPost, "/sign-in/email", map[string]string{"email": email, "password": "a password, long enough"}, nil)
}

// organization makes one, of which the user is the owner.
func (b *browser) organization(slug string) (id string) {
	b.t.Helper()
	var answer struct{ ID string }
	b.auth(http.MethodPost, "/organization/create", map[string]string{"name": slug, "slug": slug}, &answer)
	return answer.ID
}
