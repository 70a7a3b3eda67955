package adminapi

import (
	"context"
	_ "embed" // for the schemas
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// schemas are the components of the document: what requests and answers look like.
//
//go:embed schemas.json
var schemas []byte

// openAPI returns the OpenAPI 3.1 document: the paths are made of the routes.
func openAPI(routes []route) json.RawMessage {
	paths := map[string]map[string]any{}
	for i := range routes {
		r := &routes[i]
		if paths[r.path] == nil {
			paths[r.path] = map[string]any{}
		}
		paths[r.path][strings.ToLower(r.method)] = r.operation()
	}
	text, err := json.Marshal(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Tenantgate", "version": "1",
			"description": "Tenants and all that belongs to them, on Caddy's admin endpoint. {tenant} and {environment} are ids or slugs.",
		},
		"paths":      paths,
		"components": map[string]any{"schemas": json.RawMessage(schemas)},
	})
	if err != nil {
		panic(err) // the file is embedded
	}
	return text
}

func getOpenAPI(_ context.Context, c *call) (answer, error) { return answer{body: c.api.document}, nil }

var inPath = regexp.MustCompile(`\{(\w+)\}`)

// queryParams are the schemas of the query parameters that are not just text, and what they say.
var queryParams = map[string]struct {
	schema map[string]any
	about  string
}{
	"limit":       {map[string]any{"type": "integer", "minimum": 1, "maximum": MaxPage, "default": 100}, "The most records of the page."},
	"cursor":      {nil, "The member next of the page before."},
	"prefix":      {nil, "What the slug begins with."},
	"region":      {nil, "For tenants: one that an environment of the tenant is in."},
	"action":      {nil, "Exactly this action, or with a dot at its end all that begin with it."},
	"since":       {map[string]any{"type": "string", "format": "date-time"}, "The first instant."},
	"until":       {map[string]any{"type": "string", "format": "date-time"}, "The first instant after."},
	"tenant":      {nil, "Id or slug; what is gone is found by its id."},
	"environment": {nil, "Id, or with a tenant also slug; what is gone is found by its id."},
	"period":      {map[string]any{"enum": []string{"month", "day"}, "default": "month"}, ""},
	"from":        {map[string]any{"type": "string", "format": "date-time"}, "The first instant at which a period may begin."},
	"to":          {map[string]any{"type": "string", "format": "date-time"}, "The first instant at which none may begin any more."},
	"force":       {nil, "Repeats the slug, or the name of a plan."},
	"url":         {nil, "An http or https URL."},
	"header":      {map[string]any{"type": "array", "maxItems": maxExplainHeaders, "items": map[string]any{"type": "string"}}, "Like \"Name: value\"; none with credentials, since URLs are logged."},
	"clientIp":    {nil, "The address of the client. Default: 127.0.0.1."},
	"handler":     {map[string]any{"type": "integer", "minimum": 0, "maximum": maxHandler}, "The tenant handler to ask, from 0 in the order of the configuration."},
}

func parameter(in, name, about string, schema map[string]any, required bool) map[string]any {
	if schema == nil {
		schema = map[string]any{"type": "string"}
	}
	p := map[string]any{"in": in, "name": name, "schema": schema}
	if about != "" {
		p["description"] = about
	}
	if required {
		p["required"] = true
	}
	return p
}

// operation is the route in the document.
func (r *route) operation() map[string]any {
	params := []any{}
	for _, m := range inPath.FindAllStringSubmatch(r.path, -1) {
		params = append(params, parameter("path", m[1], "", nil, true))
	}
	for _, name := range r.params {
		q := queryParams[name]
		params = append(params, parameter("query", name, q.about, q.schema, name == "url"))
	}
	if r.creates {
		params = append(params, parameter("header", "Idempotency-Key", "The same key gives what the first request made, for 24 hours.", nil, false))
	}
	if r.versioned && r.status != http.StatusCreated && r.method != http.MethodGet || strings.HasSuffix(r.path, "/rotate") {
		params = append(params, parameter("header", "If-Match", "The ETag that the record must have.", nil, false))
	}
	if r.writes() {
		params = append(params, parameter("header", "X-Actor", "Who does it, for the audit log, where no client certificate says so.", nil, false))
	}
	success := map[string]any{"description": http.StatusText(r.success())}
	if r.answer != "" {
		success["content"] = content("application/json", r.answer)
	}
	if r.versioned && r.answer != "" {
		success["headers"] = map[string]any{"ETag": map[string]any{"schema": map[string]any{"type": "string"}}}
	}
	responses := map[string]any{
		strconv.Itoa(r.success()): success,
		"default":                 map[string]any{"description": "Why not (RFC 9457).", "content": content(ProblemContentType, "Problem")},
	}
	if r.path == planPath && r.method == http.MethodPut {
		responses["201"] = success
	}
	op := map[string]any{"summary": r.summary, "operationId": r.id(), "responses": responses}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if r.body != "" {
		op["requestBody"] = map[string]any{"required": !r.optional, "content": content("application/json", r.body)}
	}
	return op
}

// success is the status of success.
func (r *route) success() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

func content(media, schema string) map[string]any {
	return map[string]any{media: map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/" + schema}}}
}

// id is the operation's name: the method, and the path without punctuation.
func (r *route) id() string {
	return strings.ToLower(r.method) + strings.Map(func(c rune) rune {
		if c == '{' || c == '}' || c == '.' {
			return -1
		}
		if c == '/' || c == '-' {
			return '_'
		}
		return c
	}, r.path)
}
