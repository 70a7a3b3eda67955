package caddymodule

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/router"
)

func resolveCommand() *cobra.Command {
	return leaf{
		use: "resolve URL [-H 'Name: value']…", short: "Explains how the gateway would lead a request", args: cobra.ExactArgs(1), run: runResolve,
		long: `
Says source by source what was found and where that leads, what decides, and why the
request would be refused. The request itself is not made, and nothing is spent. The
exit code is 6 where it would be refused. A running gateway is needed. Of several
tenant handlers, the first that has something to say is asked, unless --handler
says which, from 0.
`,
		example: `  tenantgate tenant resolve https://acme.app.example.com/
  tenantgate tenant resolve https://app.example.com/ -H 'X-Tenant-ID: acme' -H 'Cookie: …'`,
		flags: func(fs *pflag.FlagSet) {
			fs.StringArrayP("header", "H", nil, "header of the request as 'Name: value'; repeatable")
			fs.String("method", "", "method of the request (default GET)")
			fs.String("client-ip", "", "address of the client (default 127.0.0.1)")
			fs.Int("handler", -1, "tenant handler to ask, from 0 in the order of the configuration")
		},
	}.command()
}

func runResolve(ctx context.Context, s *session, args []string) error {
	q := adminapi.ExplainRequest{URL: args[0], Method: s.text("method"), Headers: s.list("header"), ClientIP: s.text("client-ip")}
	if s.given("handler") {
		n := int64(s.number("handler"))
		q.Handler = &n
	}
	e, err := s.Explain(ctx, q)
	if err != nil {
		return err
	}
	if s.json {
		err = s.printJSON(e)
	} else {
		err = printExplanation(s.out, e)
	}
	if err == nil && e.Refusal != nil {
		return errQuiet(codeRefused)
	}
	return err
}

// printExplanation prints the decision step by step.
func printExplanation(out io.Writer, e *adminapi.Explanation) error {
	var b strings.Builder
	step := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) } // a builder takes everything
	step("handler %d of %d, host %s, agreement %s", e.Handler, e.Handlers, cell(e.Host), e.Agreement)
	if e.Exempt {
		step("the request is exempt: it passes without a tenant")
		_, err := io.WriteString(out, printable(b.String()))
		return err
	}
	step("sources, in their order:")
	for i := range e.Sources {
		step("  %d. %s: %s", i+1, e.Sources[i].Name, sourceText(&e.Sources[i]))
	}
	switch {
	case e.Tenant == nil:
		step("no tenant was decided on")
	case e.Environment == nil:
		step("tenant %s (%s, plan %s), as %s says", e.Tenant.Slug, e.Tenant.Status, e.Tenant.Plan, e.Source)
	default:
		step("tenant %s (%s, plan %s), environment %s (%s), as %s says",
			e.Tenant.Slug, e.Tenant.Status, e.Tenant.Plan, e.Environment.Slug, e.Environment.Status, e.Source)
	}
	if e.User != "" {
		step("user %s, roles: %s", e.User, cell(strings.Join(e.Roles, " ")))
	}
	if r := e.Refusal; r != nil {
		step("refused: %d %s, %s", r.Status, r.Code, r.Detail)
		if r.Cause != "" {
			step("  because: %s", r.Cause)
		}
	} else {
		step("passes")
		step("upstreams: %s", cell(strings.Join(e.Upstreams, " ")))
	}
	_, err := io.WriteString(out, printable(b.String()))
	return err
}

// sourceText says what one source found.
func sourceText(x *router.ExplainedSource) string {
	switch x.Outcome {
	case router.OutcomeNothing:
		return "nothing"
	case router.OutcomeNotAsked:
		return "not asked"
	case router.OutcomeError:
		return "error: " + x.Problem
	}
	parts := []string{"yields " + x.Kind}
	if x.Key != "" {
		parts[0] += " " + line(x.Key)
	}
	if x.Environment != "" {
		parts = append(parts, "environment "+line(x.Environment))
	}
	if x.User != "" {
		parts = append(parts, "user "+line(x.User))
	}
	if x.Authenticated {
		parts = append(parts, "with proof")
	}
	if x.Fallback {
		parts = append(parts, "only where no other names a tenant")
	}
	if x.TenantSlug != "" {
		parts = append(parts, "leads to "+x.TenantSlug+" "+x.EnvironmentSlug)
	}
	if x.Problem != "" {
		parts = append(parts, "leads nowhere: "+x.Problem)
	}
	switch {
	case x.Decides:
		parts = append(parts, "decides")
	case x.Agrees != nil && *x.Agrees:
		parts = append(parts, "agrees")
	case x.Agrees != nil:
		parts = append(parts, "disagrees")
	}
	return strings.Join(parts, ", ")
}
