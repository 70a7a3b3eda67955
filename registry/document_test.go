package registry

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// designDocument is the example of the design, with every field.
const designDocument = `{
  "plans": [
    {"name": "free", "quotas": {"apiRateLimit": 60, "burst": 20, "maxApiCallsPerMonth": 10000, "maxConcurrentRequests": 10}, "upstreams": ["127.0.0.1:9001"]}
  ],
  "tenants": [
    {
      "id": "0190a000-0000-7000-8000-000000000001", "slug": "acme", "name": "Acme Corp", "plan": "pro", "status": "active",
      "isolationLevel": "isolated_db", "subscriptionExpiresAt": null, "quotas": {"apiRateLimit": 600}, "metadata": {"canary": "true"},
      "securityPolicy": {"accessControl": {"ipWhitelist": ["10.0.0.0/8"], "requireMFA": false, "requireSSO": false}},
      "environments": [
        {
          "id": "0190a000-0000-7000-8000-000000000011", "slug": "production", "name": "Production", "type": "production", "isDefault": true,
          "status": "active", "region": "eu-west-1", "upstreams": ["127.0.0.1:9002"], "quotas": {}, "metadata": {},
          "domains": ["app.acme.test"], "members": [{"userId": "u1", "role": "env_admin"}],
          "database": {"driver": "turso", "name": "0190a000-0000-7000-8000-000000000011", "url": "libsql://db.example.com", "region": "eu-west-1"}
        }
      ]
    }
  ]
}
`

func ptr[T any](v T) *T { return &v }

// designTenant is the tenant of the design's example.
func designTenant() DocumentTenant {
	return DocumentTenant{
		ID: uuid.MustParse("0190a000-0000-7000-8000-000000000001"), Slug: "acme", Name: "Acme Corp", Plan: "pro",
		Status: StatusActive, Isolation: IsolationIsolatedDB, SubscriptionExpiresAt: &time.Time{},
		Quotas: &Quotas{APIRateLimit: 600}, Metadata: map[string]string{"canary": "true"},
		SecurityPolicy: &SecurityPolicy{AccessControl: AccessControl{IPWhitelist: []string{"10.0.0.0/8"}}},
		Environments: []DocumentEnvironment{{
			ID: uuid.MustParse("0190a000-0000-7000-8000-000000000011"), Slug: "production", Name: "Production",
			Type: EnvironmentProduction, Default: ptr(true), Status: StatusActive, Region: ptr("eu-west-1"),
			Upstreams: []Upstream{{Scheme: "http", Address: "127.0.0.1:9002"}}, Quotas: &Quotas{}, Metadata: map[string]string{},
			Domains: []string{"app.acme.test"}, Members: []DocumentMember{{UserID: "u1", Role: "env_admin"}},
			Database: &DocumentDatabase{
				Driver: "turso", Name: "0190a000-0000-7000-8000-000000000011", URL: ptr("libsql://db.example.com"), Region: ptr("eu-west-1"),
			},
		}},
	}
}

// withoutLines forgets where a document stood in its file.
func withoutLines(d *Document) *Document {
	for i := range d.Plans {
		d.Plans[i].line = 0
	}
	for i := range d.Tenants {
		d.Tenants[i].line = 0
		for j := range d.Tenants[i].Environments {
			d.Tenants[i].Environments[j].line = 0
		}
	}
	return d
}

// Promise: the design's example is read as it is meant, field by field.
func TestParseDocument(t *testing.T) {
	got, err := ParseDocument(strings.NewReader("\ufeff" + designDocument))
	if err != nil {
		t.Fatal(err)
	}
	want := &Document{
		Plans: []DocumentPlan{{
			Name: "free", Quotas: &Quotas{APIRateLimit: 60, Burst: 20, MaxAPICallsPerMonth: 10000, MaxConcurrentRequests: 10},
			Upstreams: []Upstream{{Scheme: "http", Address: "127.0.0.1:9001"}},
		}},
		Tenants: []DocumentTenant{designTenant()},
	}
	if !reflect.DeepEqual(withoutLines(got), want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// Promise: what is left out is told apart from what is given as null or empty, which removes the value.
func TestParseDocumentLeftOut(t *testing.T) {
	for _, test := range []struct {
		text string
		want DocumentTenant
	}{
		{`{"slug": "a"}`, DocumentTenant{Slug: "a"}},
		{`{"slug": "a", "id": null, "name": null, "plan": null, "status": null, "isolationLevel": null, "environments": null}`, DocumentTenant{Slug: "a"}},
		{
			`{"slug": "a", "quotas": null, "upstreams": null, "metadata": null, "securityPolicy": null, "subscriptionExpiresAt": null}`,
			DocumentTenant{
				Slug: "a", Quotas: &Quotas{}, Upstreams: []Upstream{}, Metadata: map[string]string{}, SecurityPolicy: &SecurityPolicy{},
				SubscriptionExpiresAt: &time.Time{},
			},
		},
		{
			`{"slug": "a", "quotas": {"burst": null, "maxStorage": 5}, "upstreams": [], "securityPolicy": {"accessControl": null}}`,
			DocumentTenant{Slug: "a", Quotas: &Quotas{MaxStorageBytes: 5}, Upstreams: []Upstream{}, SecurityPolicy: &SecurityPolicy{}},
		},
		{
			`{"slug": "a", "subscriptionExpiresAt": "2030-01-01T02:00:00.5+02:00"}`,
			DocumentTenant{Slug: "a", SubscriptionExpiresAt: ptr(time.Date(2030, 1, 1, 0, 0, 0, 5e8, time.UTC))},
		},
		{
			`{"slug": "a", "environments": [{"slug": "b", "region": null, "isDefault": null, "domains": ["BÜCHER.Example."], "database": null}]}`,
			DocumentTenant{Slug: "a", Environments: []DocumentEnvironment{{Slug: "b", Region: ptr(""), Domains: []string{"xn--bcher-kva.example"}}}},
		},
	} {
		doc, err := ParseDocument(strings.NewReader(`{"tenants": [` + test.text + `]}`))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got := withoutLines(doc).Tenants[0]; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", test.text, got, test.want)
		}
	}
}

// Promise: what is wrong with a file is said with its place and its line, and a good file is never refused for it.
func TestParseDocumentErrors(t *testing.T) {
	tenant := func(fields string) string { return "{\n\"tenants\": [\n{\"slug\": \"a\", " + fields + "}\n]}" }
	environment := func(fields string) string {
		return tenant("\n\"environments\": [\n{\"slug\": \"e\", \"isDefault\": true,\n" + fields + "}]")
	}
	for name, test := range map[string]struct {
		text string
		want string // beginning of the error
		line int
	}{
		"empty":             {"", "the file ends where", 1},
		"no object":         {`[]`, "must be an object, not a list", 1},
		"cut off":           {"{\"tenants\": [\n{\"slug\": \"a\"", "tenants[0]: the file ends where a comma", 2},
		"cut off in string": {"{\"tenants\": [\n{\"slug\": \"a", "tenants[0].slug: the file ends where the end of a string", 2},
		"trailing text":     {"{}\n{}", "not JSON: '{' where the end of the file", 2},
		"trailing comma":    {`{"tenants": [],}`, "not JSON: '}' where a name in quotes", 1},
		"bare word":         {`{"tenants": nope}`, "tenants: not JSON: 'o' where null should be", 1},
		"not UTF-8":         {"{\"tenants\": [{\"slug\": \"a\", \"name\": \"\xff\"}]}", "tenants[0].name: a string that is not UTF-8", 1},
		"half a surrogate":  {`{"tenants": [{"slug": "a", "name": "\ud800"}]}`, "tenants[0].name: half a surrogate pair", 1},
		"control character": {"{\"tenants\": [{\"slug\": \"a\", \"name\": \"x\ty\"}]}", "tenants[0].name: not JSON: byte 0x09", 1},
		"deep":              {`{"x": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "x: unknown field", 1},

		"unknown at the top":    {"{\n\"tenant\": []}", "tenant: unknown field; known are plans, tenants", 2},
		"unknown in a tenant":   {tenant(`"Slug": "b"`), "tenants[0].Slug: unknown field", 3},
		"unknown in env":        {environment(`"default": true`), "tenants[0].environments[0].default: unknown field", 6},
		"unknown quota":         {tenant(`"quotas": {"apiRatelimit": 1}`), "tenants[0].quotas.apiRatelimit: unknown field", 3},
		"unknown in a policy":   {tenant(`"securityPolicy": {"ipWhitelist": []}`), "tenants[0].securityPolicy.ipWhitelist: unknown field", 3},
		"unknown in a database": {environment(`"database": {"driver": "turso", "token": "x"}`), "tenants[0].environments[0].database.token: unknown field", 6},
		"unknown in a member":   {environment(`"members": [{"userId": "u", "role": "env_user", "x": 1}]`), "tenants[0].environments[0].members[0].x: unknown field", 6},
		"strange unknown":       {`{"a\nb": 1}`, `."a\nb": unknown field`, 1},
		"given twice":           {tenant(`"slug": "b"`), "tenants[0].slug: is given twice", 3},
		"section twice":         {"{\"tenants\": [],\n\"tenants\": []}", "tenants: is given twice", 2},
		"metadata twice":        {tenant(`"metadata": {"a": "1", "a": "2"}`), `tenants[0].metadata["a"]: is given twice`, 3},

		"slug missing":         {"{\"tenants\": [\n{}]}", "tenants[0].slug: is missing", 2},
		"slug null":            {"{\"tenants\": [\n{\"slug\": null}]}", "tenants[0].slug: is missing", 2},
		"slug empty":           {`{"tenants": [{"slug": ""}]}`, `tenants[0].slug: "" is no slug`, 1},
		"slug upper":           {`{"tenants": [{"slug": "Acme"}]}`, `tenants[0].slug: "Acme" is no slug`, 1},
		"slug like an id":      {`{"tenants": [{"slug": "0190a000-0000-7000-8000-000000000001"}]}`, "tenants[0].slug: looks like an id", 1},
		"slug is a number":     {`{"tenants": [{"slug": 7}]}`, "tenants[0].slug: must be a string, not a number", 1},
		"second tenant":        {"{\"tenants\": [{\"slug\": \"a\"},\n{\"slug\": \"b\"},\n{\"slug\": \"-\"}]}", `tenants[2].slug: "-" is no slug`, 3},
		"id":                   {tenant(`"id": "x"`), `tenants[0].id: "x" is no UUID`, 3},
		"id empty":             {tenant(`"id": ""`), `tenants[0].id: "" is no UUID`, 3},
		"id in braces":         {tenant(`"id": "{0190a000-0000-7000-8000-000000000001}"`), "tenants[0].id: ", 3},
		"nil id":               {tenant(`"id": "00000000-0000-0000-0000-000000000000"`), "tenants[0].id: the nil UUID", 3},
		"name empty":           {tenant(`"name": " "`), "tenants[0].name: must not be empty", 3},
		"name long":            {tenant(`"name": "` + strings.Repeat("é", 256) + `"`), "tenants[0].name: must not be longer than 255", 3},
		"name with a newline":  {tenant(`"name": "a\nb"`), "tenants[0].name: must not contain control characters", 3},
		"very long string":     {tenant(`"name": "` + strings.Repeat("x", 1<<20) + `"`), "tenants[0].name: must not be longer than 65536 bytes", 3},
		"very long escapes":    {tenant(`"name": "` + strings.Repeat(`\n`, 1<<18) + `"`), "tenants[0].name: must not be longer than 65536 bytes", 3},
		"plan":                 {tenant(`"plan": "Pro Plan"`), "tenants[0].plan: ", 3},
		"status":               {tenant(`"status": "paused"`), `tenants[0].status: "paused" is none of provisioning, active`, 3},
		"isolation":            {tenant(`"isolationLevel": "none"`), `tenants[0].isolationLevel: "none" is none of`, 3},
		"expiry":               {tenant(`"subscriptionExpiresAt": "2030-01-01"`), "tenants[0].subscriptionExpiresAt: ", 3},
		"expiry empty":         {tenant(`"subscriptionExpiresAt": ""`), "tenants[0].subscriptionExpiresAt: ", 3},
		"expiry 30 February":   {tenant(`"subscriptionExpiresAt": "2030-02-30T00:00:00Z"`), "tenants[0].subscriptionExpiresAt: ", 3},
		"quota 0":              {tenant(`"quotas": {"apiRateLimit": 0}`), "tenants[0].quotas.apiRateLimit: must be from 1 to", 3},
		"quota negative":       {tenant(`"quotas": {"burst": -1}`), "tenants[0].quotas.burst: must be from 1 to", 3},
		"quota huge":           {tenant(`"quotas": {"burst": 9007199254740993}`), "tenants[0].quotas.burst: must be from 1 to", 3},
		"quota beyond 64 bits": {tenant(`"quotas": {"burst": 99999999999999999999}`), "tenants[0].quotas.burst: must be a whole number", 3},
		"quota fraction":       {tenant(`"quotas": {"burst": 1.5}`), "tenants[0].quotas.burst: must be a whole number", 3},
		"quota exponent":       {tenant(`"quotas": {"burst": 1e3}`), "tenants[0].quotas.burst: must be a whole number", 3},
		"quota text":           {tenant(`"quotas": {"burst": "5"}`), "tenants[0].quotas.burst: must be a number, not a string", 3},
		"quota by two names":   {tenant(`"quotas": {"maxStorage": 5, "maxStorageBytes": 5}`), "tenants[0].quotas.maxStorageBytes: maxStorage and maxStorageBytes are the same", 3},
		"quotas list":          {tenant(`"quotas": []`), "tenants[0].quotas: must be an object, not a list", 3},
		"upstream":             {tenant(`"upstreams": ["127.0.0.1:1", "http://a/b"]`), "tenants[0].upstreams[1]: upstream must be only", 3},
		"upstream twice":       {tenant(`"upstreams": ["a:80", "http://A"]`), `tenants[0].upstreams[1]: "a:80" is in the list already`, 3},
		"upstreams many":       {tenant(`"upstreams": [` + strings.TrimSuffix(strings.Repeat(`"pool:a",`, 1)+many(`"h%d:80"`, 64), ",") + `]`), "tenants[0].upstreams: must not have more than 64", 3},
		"metadata number":      {tenant(`"metadata": {"a": 1}`), `tenants[0].metadata["a"]: must be a string, not a number`, 3},
		"metadata key":         {tenant(`"metadata": {"": "x"}`), `tenants[0].metadata[""]: a key must have`, 3},
		"metadata value":       {tenant(`"metadata": {"a": "` + strings.Repeat("x", 1025) + `"}`), `tenants[0].metadata["a"]: must not be longer than 1024`, 3},
		"metadata many":        {tenant(`"metadata": {` + strings.TrimSuffix(many(`"k%d": "v"`, 65), ",") + `}`), `tenants[0].metadata["k64"]: must not have more than 64`, 3},
		"metadata large":       {tenant(`"metadata": {` + strings.TrimSuffix(many(`"k%d": "`+strings.Repeat("x", 1000)+`"`, 9), ",") + `}`), `tenants[0].metadata["k8"]: metadata must not have more than`, 3},
		"whitelist":            {tenant(`"securityPolicy": {"accessControl": {"ipWhitelist": ["::1", "10.0.0.0/33"]}}`), "tenants[0].securityPolicy.accessControl.ipWhitelist[1]: ", 3},
		"whitelist host bits":  {tenant(`"securityPolicy": {"accessControl": {"ipWhitelist": ["10.0.0.1/8"]}}`), "tenants[0].securityPolicy.accessControl.ipWhitelist[0]: \"10.0.0.1/8\" has bits set beyond its length: write 10.0.0.0/8", 3},
		"MFA":                  {tenant(`"securityPolicy": {"accessControl": {"requireMFA": "yes"}}`), "tenants[0].securityPolicy.accessControl.requireMFA: must be true or false, not a string", 3},
		"session timeout":      {tenant(`"securityPolicy": {"accessControl": {"sessionTimeout": -1}}`), "tenants[0].securityPolicy.accessControl.sessionTimeout: must be from 0", 3},
		"tenants is an object": {`{"tenants": {}}`, "tenants: must be a list, not an object", 1},
		"tenant is a string":   {"{\"tenants\": [\n\"acme\"]}", "tenants[0]: must be an object, not a string", 2},

		"no default":          {tenant(`"environments": [{"slug": "a"}, {"slug": "b", "isDefault": false}]`), "tenants[0].environments: none is the default", 3},
		"two defaults":        {tenant("\"environments\": [{\"slug\": \"a\", \"isDefault\": true},\n{\"slug\": \"b\", \"isDefault\": true}]"), "tenants[0].environments[1].isDefault: environments[0] is the default environment already", 4},
		"environment slug":    {environment(`"slug": "x"`), "tenants[0].environments[0].slug: is given twice", 6},
		"environment no slug": {tenant("\"environments\": [\n{}]"), "tenants[0].environments[0].slug: is missing", 4},
		"environment type":    {environment(`"type": "prod"`), `tenants[0].environments[0].type: "prod" is none of`, 6},
		"environment status":  {environment(`"status": "destroying"`), `tenants[0].environments[0].status: "destroying" is none of provisioning, active, suspended, archived, failed`, 6},
		"environment region":  {environment(`"region": "eu west"`), "tenants[0].environments[0].region: ", 6},
		"domain":              {environment(`"domains": ["a.example:80"]`), `tenants[0].environments[0].domains[0]: "a.example:80" is no host name`, 6},
		"domain wildcard":     {environment(`"domains": ["*.example.com"]`), "tenants[0].environments[0].domains[0]: ", 6},
		"domain label":        {environment(`"domains": ["` + strings.Repeat("a", 64) + `.example"]`), "tenants[0].environments[0].domains[0]: ", 6},
		"member role":         {environment(`"members": [{"userId": "u", "role": "admin"}]`), `tenants[0].environments[0].members[0].role: "admin" is none of env_admin`, 6},
		"member without role": {environment(`"members": [{"userId": "u"}]`), "tenants[0].environments[0].members[0]: role is missing", 6},
		"member without user": {environment(`"members": [{"role": "env_user"}]`), "tenants[0].environments[0].members[0]: userId is missing", 6},
		"member twice":        {environment(`"members": [{"userId": "u", "role": "env_user"}, {"userId": "u", "role": "env_admin"}]`), `tenants[0].environments[0].members[1].userId: "u" is in the list already`, 6},
		"database driver":     {environment(`"database": {"driver": "mysql"}`), `tenants[0].environments[0].database.driver: "mysql" is none of`, 6},
		"database no driver":  {environment(`"database": {"name": "x"}`), "tenants[0].environments[0].database: driver is missing", 6},
		"database name":       {environment(`"database": {"driver": "turso", "name": "../x"}`), "tenants[0].environments[0].database.name: ", 6},
		"database URL":        {environment(`"database": {"driver": "turso", "url": "x y"}`), "tenants[0].environments[0].database.url: is no URL", 6},
		"database password":   {environment(`"database": {"driver": "postgres", "url": "postgres://u:hunter2@h/db"}`), "tenants[0].environments[0].database.url: must not hold a user or password", 6},
		"database token":      {environment(`"database": {"driver": "turso", "url": "libsql://h?authToken=hunter2"}`), "tenants[0].environments[0].database.url: must not hold a authToken", 6},

		"slug twice in file":        {"{\"tenants\": [\n{\"slug\": \"a\"},\n{\"slug\": \"a\"}]}", `tenants[1].slug: "a" is also at tenants[0].slug (line 2)`, 3},
		"id twice in file":          {"{\"tenants\": [{\"slug\": \"a\", \"id\": \"0190a000-0000-7000-8000-000000000001\"},\n{\"slug\": \"b\", \"id\": \"0190A000-0000-7000-8000-000000000001\"}]}", `tenants[1].id: "0190a000-0000-7000-8000-000000000001" is also at tenants[0].id (line 1)`, 2},
		"environment id in file":    {"{\"tenants\": [{\"slug\": \"a\", \"environments\": [{\"slug\": \"x\", \"id\": \"0190a000-0000-7000-8000-000000000011\"}]},\n{\"slug\": \"b\", \"environments\": [{\"slug\": \"x\", \"id\": \"0190a000-0000-7000-8000-000000000011\"}]}]}", `tenants[1].environments[0].id: "0190a000-0000-7000-8000-000000000011" is also at tenants[0].environments[0].id (line 1)`, 2},
		"environment slug in file":  {tenant("\"environments\": [{\"slug\": \"x\", \"isDefault\": true},\n{\"slug\": \"x\"}]"), `tenants[0].environments[1].slug: "x" is also at tenants[0].environments[0].slug (line 3)`, 4},
		"domain twice in file":      {"{\"tenants\": [{\"slug\": \"a\", \"environments\": [{\"slug\": \"x\", \"domains\": [\"q.example\", \"a.example\"]}]},\n{\"slug\": \"b\", \"environments\": [{\"slug\": \"x\", \"domains\": [\"A.example.\"]}]}]}", `tenants[1].environments[0].domains[0]: "a.example" is also at tenants[0].environments[0].domains[1] (line 1)`, 2},
		"plan twice in file":        {"{\"plans\": [{\"name\": \"a\"},\n{\"name\": \"a\"}]}", `plans[1].name: "a" is also at plans[0].name (line 1)`, 2},
		"plan name missing":         {"{\"plans\": [\n{}]}", "plans[0].name: is missing", 2},
		"domain twice in one place": {environment(`"domains": ["a.example", "a.example"]`), `tenants[0].environments[0].domains[1]: "a.example" is also at tenants[0].environments[0].domains[0]`, 6},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseDocument(strings.NewReader(test.text))
			var first *PlaceError
			if !errors.As(err, &first) {
				t.Fatalf("got %v, want a PlaceError", err)
			}
			if text := first.Error(); !strings.HasPrefix(text, test.want) || first.Line != test.line {
				t.Errorf("got  %s\nwant %s… on line %d", text, test.want, test.line)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// many repeats a pattern with the numbers from 0 on, with commas behind.
func many(pattern string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, pattern+",", i)
	}
	return b.String()
}

// Promise: all problems of a file are reported in one go, up to a number that a person reads.
func TestParseDocumentReportsAll(t *testing.T) {
	_, err := ParseDocument(strings.NewReader("{\"tenants\": [\n{\"slug\": \"A\"},\n{\"slug\": \"b\", \"plan\": \"\"},\n{\"slug\": \"c\", \"quotas\": {\"burst\": 0}}]}"))
	var all *DocumentError
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var places []string
	for _, p := range all.Problems {
		places = append(places, fmt.Sprintf("%s:%d", p.Place, p.Line))
	}
	if got, want := strings.Join(places, " "), "tenants[0].slug:2 tenants[1].plan:3 tenants[2].quotas.burst:4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	_, err = ParseDocument(strings.NewReader(`{"tenants": [` + strings.TrimSuffix(strings.Repeat(`{"slug": "A"},`, 100), ",") + `]}`))
	if !errors.As(err, &all) || len(all.Problems) != maxProblems || !all.More || !strings.Contains(err.Error(), "and more") {
		t.Errorf("got %v", err)
	}
}

// Promise: CheckFile says what ParseDocument says, and takes files that it can read.
func TestCheckFile(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	for path, text := range map[string]string{good: designDocument, bad: strings.Replace(designDocument, "acme", "-", 1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckFile(good); err != nil {
		t.Error(err)
	}
	var at *PlaceError
	if err := CheckFile(bad); !errors.As(err, &at) || at.Place != "tenants[0].slug" || at.Line != 7 {
		t.Error(err)
	}
	if err := CheckFile(filepath.Join(dir, "none.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Promise: what is written reads as the same document, byte for byte the same when written again.
func TestWriteDocument(t *testing.T) {
	for _, doc := range []*Document{
		{},
		{Plans: []DocumentPlan{{Name: "free"}, {Name: "pro", Quotas: &Quotas{}, Upstreams: []Upstream{}}}},
		{Plans: []DocumentPlan{{Name: "free", Upstreams: []Upstream{{Pool: "p"}, {Scheme: "https", Address: "h:443"}, {Scheme: "http", Address: "[::1]:80"}}}}, Tenants: []DocumentTenant{designTenant()}},
		{Tenants: []DocumentTenant{{Slug: "a", Name: `<"ü"&\>`, SubscriptionExpiresAt: ptr(time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC))}, designTenant()}},
	} {
		var b bytes.Buffer
		if err := writeDocument(&b, doc); err != nil {
			t.Fatal(err)
		}
		first := b.String()
		got, err := ParseDocument(&b)
		if err != nil {
			t.Fatalf("%v in\n%s", err, first)
		}
		if !reflect.DeepEqual(withoutLines(got), doc) {
			t.Errorf("got\n%+v\nwant\n%+v\nfrom\n%s", got, doc, first)
		}
		var again bytes.Buffer
		if err := writeDocument(&again, got); err != nil || again.String() != first {
			t.Errorf("%v: got\n%s\nwant\n%s", err, again.String(), first)
		}
	}
}
