package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tenantgate/tenantgate/router/credential"
)

// logConfig is what doctor looks at in the configuration of a log.
type logConfig struct {
	Include []string        `json:"include"`
	Exclude []string        `json:"exclude"`
	Encoder json.RawMessage `json:"encoder"`
	Writer  struct {
		Output string `json:"output"`
	} `json:"writer"`
}

// serverConfig is what doctor looks at in the configuration of a server.
type serverConfig struct {
	Routes json.RawMessage `json:"routes"`
	// Logs is nil where the server writes no access log.
	Logs *struct {
		DefaultLogger        string              `json:"default_logger_name"`
		LoggerNames          map[string][]string `json:"logger_names"`
		ShouldLogCredentials bool                `json:"should_log_credentials"`
	} `json:"logs"`
}

// accessLogger is what the names of Caddy's access logs begin with.
const accessLogger = "http.log.access"

// logs looks for credentials that an access log would hold: Caddy hides Authorization and cookies only.
func (d *doctor) logs() {
	configured := maps.Clone(d.config.Logging.Logs)
	if configured == nil {
		configured = map[string]*logConfig{}
	}
	if configured["default"] == nil {
		configured["default"] = new(logConfig) // Caddy has one in any case
	}
	maps.DeleteFunc(configured, func(_ string, l *logConfig) bool { return l == nil })
	var bare []string
	credentials := 0
	for _, server := range d.config.Apps.HTTP.Servers {
		if server == nil || server.Logs == nil {
			continue
		}
		shown := shownCredentials(server.Routes, server.Logs.ShouldLogCredentials)
		credentials += len(shown)
		names := slices.Concat(slices.Collect(maps.Values(server.Logs.LoggerNames))...)
		if server.Logs.DefaultLogger != "" || len(names) == 0 {
			names = append(names, server.Logs.DefaultLogger)
		}
		for _, name := range names {
			logger := strings.TrimSuffix(accessLogger+"."+name, ".")
			for logName, l := range configured {
				if !l.carries(logger) {
					continue
				}
				for field := range shown {
					if !filters(l.Encoder, field) {
						bare = append(bare, fmt.Sprintf("%s in the log %s", field, logName))
					}
				}
			}
		}
	}
	if slices.Sort(bare); len(bare) > 0 {
		d.add(findingWarning, "logs", "have the log filter it, such as log { format filter { request>headers>X-Api-Key delete } }, or have clients send it in Authorization",
			"credentials are written in the clear: %s", some(slices.Compact(bare)))
	} else if credentials > 0 {
		d.add(findingOK, "logs", "", "the access logs filter the credentials that Caddy would show")
	}
}

// carries reports whether a log gets what the logger writes.
func (l *logConfig) carries(logger string) bool {
	within := func(parent string) bool { return logger == parent || strings.HasPrefix(logger, parent+".") }
	if l.Writer.Output == "discard" {
		return false
	}
	return (len(l.Include) == 0 || slices.ContainsFunc(l.Include, within)) && !slices.ContainsFunc(l.Exclude, within)
}

// filters reports whether an encoder, or one that it wraps, does something about the field.
func filters(encoder json.RawMessage, field string) bool {
	var e struct {
		Format string                     `json:"format"`
		Fields map[string]json.RawMessage `json:"fields"`
		Wrap   json.RawMessage            `json:"wrap"`
	}
	if len(encoder) == 0 || json.Unmarshal(encoder, &e) != nil {
		return false
	}
	if _, ok := e.Fields[field]; ok && e.Format == "filter" {
		return true
	}
	return filters(e.Wrap, field)
}

// shownCredentials finds the fields of an access log that would hold a credential which the tenant handlers read. all says
// that Caddy hides nothing.
func shownCredentials(routes json.RawMessage, all bool) map[string]bool {
	shown := map[string]bool{}
	var tree any
	if json.Unmarshal(routes, &tree) != nil {
		return shown
	}
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if node["handler"] == "tenant" {
				sources, _ := node["sources"].([]any)
				for _, source := range sources {
					noteCredential(shown, source, all)
				}
				return
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(tree)
	return shown
}

// noteCredential notes the fields that a source reads a credential from.
func noteCredential(shown map[string]bool, source any, all bool) {
	s, _ := source.(map[string]any)
	switch s["source"] {
	case "session":
		if all {
			shown["request>headers>Cookie"] = true
		}
	case "api_key":
		header, _ := s["header"].(string)
		if header == "" {
			header = credential.DefaultKeyHeader
		}
		if header = http.CanonicalHeaderKey(header); header != "Authorization" {
			shown["request>headers>"+header] = true
		}
		if all {
			shown["request>headers>Authorization"] = true
		}
	case "jwt":
		from, _ := s["from"].([]any)
		if len(from) == 0 {
			from = []any{"header"}
		}
		for _, place := range from {
			switch kind, _, _ := strings.Cut(fmt.Sprint(place), " "); kind {
			case "header":
				if all {
					shown["request>headers>Authorization"] = true
				}
			case "cookie":
				if all {
					shown["request>headers>Cookie"] = true
				}
			case "query":
				shown["request>uri"] = true
			case "subprotocol":
				shown["request>headers>Sec-Websocket-Protocol"] = true
			}
		}
	}
}
