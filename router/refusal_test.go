package router

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestRefusals keeps the table of refusals: each case with its status and code, Retry-After with each 503 and only
// there, a challenge with 401 and only there.
func TestRefusals(t *testing.T) {
	table := []struct {
		status int
		code   string
	}{
		{400, "tenant_required"},
		{400, "tenant_invalid"},
		{404, "tenant_not_found"},
		{404, "environment_not_found"},
		{403, "tenant_conflict"},
		{401, "credentials_invalid"},
		{403, "membership_required"},
		{403, "role_insufficient"},
		{403, "policy_denied"},
		{403, "tenant_suspended"},
		{403, "environment_suspended"},
		{410, "tenant_inactive"},
		{410, "environment_inactive"},
		{503, "tenant_provisioning"},
		{503, "tenant_unavailable"},
		{402, "subscription_expired"},
		{429, "quota_exceeded"},
		{421, "misdirected_request"},
		{503, "registry_unavailable"},
		{503, "keys_unavailable"},
		{499, "client_closed_request"},
	}
	if len(table) != len(refusals) {
		t.Errorf("%d refusals, %d in the table", len(refusals), len(table))
	}
	for _, c := range table {
		r := Refuse(c.code, nil)
		if r.Status != c.status || r.Code != c.code || r.Title == "" || !strings.HasSuffix(r.Detail, ".") {
			t.Errorf("%s: %+v", c.code, r)
		}
		if (r.RetryAfter > 0) != (c.status == http.StatusServiceUnavailable) {
			t.Errorf("%s: Retry-After is %s", c.code, r.RetryAfter)
		}
		if (r.Challenge != "") != (c.status == http.StatusUnauthorized) {
			t.Errorf("%s: WWW-Authenticate is %q", c.code, r.Challenge)
		}
		if r != Refuse(c.code, nil) {
			t.Errorf("%s is not shared", c.code)
		}
		cause := errors.New("dial 10.0.0.7")
		with := Refuse(c.code, cause)
		if with == r || r.Cause != nil || !errors.Is(with, cause) || strings.Contains(with.Error(), "10.0.0.7") || with.Detail != r.Detail {
			t.Errorf("%s with a cause: %+v", c.code, with)
		}
	}
	if r := Refuse("no_such_code", nil); r.Status != http.StatusInternalServerError {
		t.Errorf("a code that does not exist: %+v", r)
	}
	if r := RefuseCredentials("", nil); r.Challenge != "Bearer" {
		t.Errorf("%+v", r)
	}
}

// TestProblem keeps the form of the body (RFC 9457) to the letter.
func TestProblem(t *testing.T) {
	got := string(refuseTenantNotFound.AppendProblem([]byte("x"), "/a?b=\"<c>\""))
	want := `x{"type":"urn:tenantgate:problem:tenant_not_found","title":"Tenant not found","status":404,` +
		`"detail":"There is no such tenant.","instance":"/a?b=\"\u003cc\u003e\"","code":"tenant_not_found"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = string(RefuseQuota(Exceeded{"apiRateLimit", 61, 60, []string{"requests", "environment"}}, time.Second).AppendProblem(nil, ""))
	want = `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded","status":429,` +
		`"detail":"A limit of this tenant is used up. Try again later.","code":"quota_exceeded","allowed":false,"exceededQuota":"apiRateLimit",` +
		`"currentUsage":61,"limit":60,"message":"A limit of this tenant is used up. Try again later.","violated-policies":["requests","environment"]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, r := range refusals {
		if !json.Valid(r.AppendProblem(nil, "urn:uuid:"+acmeID)) {
			t.Errorf("%s: not JSON", r.Code)
		}
	}
}

// TestHTML keeps the promise that the page says the same as the problem and that no text becomes markup.
func TestHTML(t *testing.T) {
	page := string((&Refusal{Status: 403, Code: "a&b", Title: `<b>"x"`, Detail: "it's <script>"}).AppendHTML([]byte("")))
	for _, want := range []string{
		"<!DOCTYPE html>", "<title>&lt;b&gt;&#34;x&#34;</title>", "<h1>&lt;b&gt;", "<p>it&#39;s &lt;script&gt;</p>", "403 a&amp;b", "</html>\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page:\n%s", want, page)
		}
	}
	if len(page) > 1024 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// FuzzProblem holds for any text: the body is JSON that says this text, and has neither markup nor line ends in it.
func FuzzProblem(f *testing.F) {
	for _, s := range []string{"", `"\`, "\x00\x1f\x7f", "<script>&'", "\u2028\u2029", "\xff\xc3", "ü\U0001F600\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := &Refusal{Status: 400, Code: text, Title: text, Detail: text, Exceeded: &Exceeded{Quota: text}}
		body := r.AppendProblem(nil, text)
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%q: %v in %s", text, err, body)
		}
		want := strings.ToValidUTF8(text, "\ufffd")
		if !utf8.ValidString(text) {
			// One U+FFFD for each byte, as encoding/json does, where ToValidUTF8 gives one for a run of them.
			var b strings.Builder
			for _, c := range text {
				b.WriteRune(c)
			}
			want = b.String()
		}
		for _, k := range []string{"title", "detail", "code", "exceededQuota", "message"} {
			if got[k] != want {
				t.Fatalf("%s of %q is %q", k, text, got[k])
			}
		}
		if text != "" && got["instance"] != want {
			t.Fatalf("instance of %q is %q", text, got["instance"])
		}
		if strings.ContainsAny(string(body), "<>&'\n\r\u2028\u2029") {
			t.Fatalf("%q: %s", text, body)
		}
	})
}
