package caddymodule

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("tenant", parseHandler)
	// As early as can be, so that header, redir, rewrite, handle and all that follow know the tenant; map and vars come
	// before it, so that the source placeholder can use what they set.
	httpcaddyfile.RegisterDirectiveOrder("tenant", httpcaddyfile.Before, "header")
}

// parseHandler parses the directive tenant. Syntax:
//
//	tenant [<matcher>] {
//		identify  <source> [<args...>] {
//			...
//		}
//		reserve   <names...>|off
//		agreement required|authenticated|first
//		require   authenticated
//		require   member|role env_viewer|env_user|env_maker|env_admin
//		exempt    <paths or @matchers...>
//		inject    [database] [context] [late] {
//			<header> <new-name>
//			-<header>
//		}
//		headers   X-RateLimit
//		errors    problem|pass
//	}
//
// identify may be repeated; sources are asked in the order written. Within inject, a header is sent under a new name,
// or with "-" not at all.
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := &handlerParser{Helper: h, handler: new(Handler), given: map[string]bool{}}
	return p.handler, p.parse()
}

// handlerParser reads one tenant directive.
type handlerParser struct {
	httpcaddyfile.Helper
	handler *Handler
	given   map[string]bool
	proof   bool // a source can prove which tenant is meant
	person  bool // a source can say who makes a request
	// fallback, require and requireRole are where identify default, require authenticated and require role stand.
	fallback, require, requireRole *caddyfile.Dispenser
}

func (p *handlerParser) parse() error {
	p.Next() // the directive's name
	at := *p.Dispenser
	if p.NextArg() {
		return p.ArgErr()
	}
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		option := p.Val()
		if repeatable := option == "identify" || option == "exempt" || option == "require"; !repeatable && p.given[option] {
			return p.Errf("%s is given twice", option)
		}
		p.given[option] = true
		if err := p.option(option); err != nil {
			return err
		}
	}
	if !p.given["identify"] {
		return at.Err(errNoSource.Error())
	}
	if p.require != nil && !p.proof {
		return p.require.Err(errNoProof.Error())
	}
	if p.requireRole != nil && !p.person {
		return p.requireRole.Err(errNobody.Error())
	}
	return nil
}

func (p *handlerParser) option(option string) error {
	switch option {
	case "identify":
		return p.identify()
	case "reserve":
		return p.reserve()
	case "agreement":
		return p.word(&p.handler.Agreement, func(s string) error {
			_, err := router.ParseAgreement(s)
			return err
		})
	case "require":
		return p.requirement()
	case "exempt":
		return p.exemption()
	case "inject":
		return p.injection()
	case "headers":
		return p.word(nil, func(s string) error {
			if s != familyXRateLimit {
				return fmt.Errorf("headers: there is no family %q; there is %s", s, familyXRateLimit)
			}
			p.handler.Headers = []string{s}
			return nil
		})
	case "errors":
		return p.word(&p.handler.Errors, func(s string) error {
			_, err := parseErrors(s)
			return err
		})
	}
	return p.Errf("unknown option %q; there are identify, reserve, agreement, require, exempt, inject, headers and errors", option)
}

// word reads an option with one argument that check accepts.
func (p *handlerParser) word(to *string, check func(string) error) error {
	s, err := oneArg(p.Dispenser)
	if err != nil {
		return err
	}
	if err := check(s); err != nil {
		return p.WrapErr(err)
	}
	if to != nil {
		*to = s
	}
	return nil
}

func (p *handlerParser) identify() error {
	at := *p.Dispenser
	if p.fallback != nil {
		return p.fallback.Err("the source default must be the last one: those after it would never be asked")
	}
	mod, name, err := unmarshalSource(p.Dispenser)
	if err != nil {
		return err
	}
	switch m := mod.(type) {
	case *Default:
		p.fallback = &at
	case prover:
		p.proof, p.person = p.proof || m.proves(), true
	case builtIn:
	default:
		p.proof, p.person = true, true
	}
	p.handler.SourcesRaw = append(p.handler.SourcesRaw, caddyconfig.JSONModuleObject(mod, "source", name, nil))
	return nil
}

func (p *handlerParser) reserve() error {
	names := p.RemainingArgs()
	if len(names) == 0 {
		return p.ArgErr()
	}
	if len(names) == 1 && names[0] == "off" {
		p.handler.Reserved = []string{}
		return nil
	}
	if _, err := router.NewSubdomain([]string{"{tenant}.example.com"}, names); err != nil {
		return p.WrapErr(err)
	}
	p.handler.Reserved = names
	return nil
}

func (p *handlerParser) requirement() error {
	at := *p.Dispenser
	args := p.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "authenticated":
		if p.require != nil {
			return p.Err("require authenticated is given twice")
		}
		p.handler.RequireAuthenticated = true
		p.require = &at
		return nil
	case len(args) == 1 && args[0] == "member":
		p.handler.RequireRole = string(registry.RoleViewer)
	case len(args) == 2 && args[0] == "role":
		p.handler.RequireRole = args[1]
	default:
		return p.Err("require can be: require authenticated, require member, or require role env_viewer|env_user|env_maker|env_admin")
	}
	if p.requireRole != nil {
		return p.Err("require member and require role say the same thing: one of them, once")
	}
	p.requireRole = &at
	if err := checkRole(p.handler.RequireRole, true); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

func (p *handlerParser) exemption() error {
	if p.CountRemainingArgs() == 0 {
		return p.ArgErr()
	}
	for p.NextArg() {
		if !strings.HasPrefix(p.Val(), "@") {
			if _, err := router.NewExempt([]string{p.Val()}); err != nil {
				return p.WrapErr(err)
			}
			p.handler.Exempt = append(p.handler.Exempt, p.Val())
			continue
		}
		p.Prev()
		set, _, err := p.MatcherToken()
		if err != nil {
			return p.WrapErr(err)
		}
		p.handler.ExemptMatch = append(p.handler.ExemptMatch, set)
	}
	return nil
}

func (p *handlerParser) injection() error {
	at := *p.Dispenser
	in := new(Inject)
	p.handler.Inject = in
	for p.NextArg() {
		switch {
		case p.Val() == "database" && !in.Database:
			in.Database = true
		case p.Val() == "context" && !in.Context:
			in.Context = true
		case p.Val() == "late" && !in.Late:
			in.Late = true
		default:
			return p.Errf("inject can only be followed by database, context and late, once each, and a block; not %q", p.Val())
		}
	}
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		from, omit := strings.CutPrefix(p.Val(), "-")
		var to string
		if !omit && !p.AllArgs(&to) || omit && p.NextArg() {
			return p.ArgErr()
		}
		if !omit && to == "" {
			return p.Err("a header cannot be sent under an empty name")
		}
		f, err := factByHeader(from)
		if err != nil {
			return p.WrapErr(err)
		}
		from = factNames[f]
		if _, dup := in.Headers[from]; dup {
			return p.Errf("%s is given twice", from)
		}
		if to != "" {
			if err := checkHeaderName(to); err != nil {
				return p.WrapErr(err)
			}
		}
		if in.Headers == nil {
			in.Headers = map[string]string{}
		}
		in.Headers[from] = to
	}
	if _, err := in.plan(); err != nil {
		return at.WrapErr(err)
	}
	if !in.Database && !in.Context && !in.Late && in.Headers == nil {
		return at.Err("inject needs database, context, late or a block")
	}
	return nil
}
