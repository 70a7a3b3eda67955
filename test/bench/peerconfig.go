package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"strings"
	"text/template"
)

//go:embed peers
var peerFiles embed.FS

// peerConfig is what the templates in peers/ are filled with.
type peerConfig struct {
	// Address is where the peer listens, Upstream where it forwards to (host:port).
	Address, Upstream string
	// Threads is how many workers or threads it has: as many as cores.
	Threads int
	// Home is a directory of its own.
	Home string
	// Tenants are those that it knows.
	Tenants []tenantFacts
	// Modules is where nginx's modules are.
	Modules string
	// RedisHost and RedisPort are where Redis is, Auth where the auth service is (host:port).
	RedisHost, RedisPort, Auth string
	// Key is a file with the public key of the tokens.
	Key string
}

// peerColumn is one header with its value for each tenant.
type peerColumn struct {
	Header string
	// Variable is the header's name as nginx wants its variables: tenant_id.
	Variable string
	// Field is its place in a row of [haproxyMap], from 1.
	Field  int
	Values []struct{ Slug, Value string }
}

// firstField is the place of the first header in a row of the map: the limit comes before.
const firstField = 2

// Columns returns the headers that go upstream, with the tenants' values.
func (c peerConfig) Columns() []peerColumn {
	var columns []peerColumn
	for _, tenant := range c.Tenants {
		for i, h := range tenant.Headers {
			if i == len(columns) {
				columns = append(columns, peerColumn{
					Header: h.Name, Field: firstField + i,
					Variable: strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(h.Name, "X-")), "-", "_"),
				})
			}
			columns[i].Values = append(columns[i].Values, struct{ Slug, Value string }{tenant.Slug, h.Value})
		}
	}
	return columns
}

// peerPlan is a limit.
type peerPlan struct {
	Name      string
	PerMinute int64
}

// Plans returns the tenants' plans, each once.
func (c peerConfig) Plans() []peerPlan {
	var plans []peerPlan
	seen := map[string]bool{}
	for _, tenant := range c.Tenants {
		if !seen[tenant.Plan] {
			seen[tenant.Plan] = true
			plans = append(plans, peerPlan{tenant.Plan, tenant.PerMinute})
		}
	}
	return plans
}

// NginxRate is the plan's rate as limit_req_zone wants it: whole requests per second or minute.
func (p peerPlan) NginxRate() string {
	if p.PerMinute%60 == 0 {
		return fmt.Sprintf("%dr/s", p.PerMinute/60)
	}
	return fmt.Sprintf("%dr/m", p.PerMinute)
}

// Burst is how many requests may come at once besides the first: the whole minute's, as with the gateway.
func (p peerPlan) Burst() int64 { return p.PerMinute - 1 }

// render fills the template of that name.
func (c peerConfig) render(name string) (string, error) {
	t, err := template.ParseFS(peerFiles, "peers/"+name)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := t.Option("missingkey=error").Execute(&out, c); err != nil {
		return "", err
	}
	return out.String(), nil
}

// renderTo fills the template of that name into a file.
func (c peerConfig) renderTo(path, name string) error {
	text, err := c.render(name)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// haproxyMap returns HAProxy's map of host names: the limit per minute and the headers' values, divided by "|".
func haproxyMap(tenants []tenantFacts) string {
	var b strings.Builder
	for _, tenant := range tenants {
		fmt.Fprintf(&b, "%s.%s %d", tenant.Slug, domain, tenant.PerMinute)
		for _, h := range tenant.Headers {
			b.WriteString("|" + h.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
