package caddymodule

import (
	"fmt"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// maxDifferences is how many differences a dry run shows; the rest is counted.
const maxDifferences = 1000

// differences are what an import would write.
type differences struct {
	list []difference
	more int64
}

// difference is one record, as a dry run shows it.
type difference struct {
	// Action is create or update.
	Action string `json:"action"`
	Kind   string `json:"kind"`
	// Name leads to the record: acme, acme/production, acme/production/app.acme.com.
	Name string `json:"name"`
	// Fields are left out for what is created.
	Fields []fieldDifference `json:"fields,omitempty"`
}

type fieldDifference struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// add takes one from the registry.
func (d *differences) add(r registry.Difference) {
	if len(d.list) == maxDifferences {
		d.more++
		return
	}
	x := difference{Action: "update", Kind: r.Kind}
	if r.Created {
		x.Action = "create"
	}
	var path []string
	for _, part := range []string{r.Tenant, r.Environment, r.Name} {
		if part != "" {
			path = append(path, part)
		}
	}
	x.Name = strings.Join(path, "/")
	for _, f := range r.Fields {
		x.Fields = append(x.Fields, fieldDifference(f))
	}
	d.list = append(d.list, x)
}

// print prints them for people: "+" for what is created, "~" for what changes, with what and how.
func (d *differences) print(t terminal) error {
	for _, x := range d.list {
		sign := map[string]string{"create": "+", "update": "~"}[x.Action]
		if _, err := fmt.Fprintf(t.out, "%s %s %s\n", sign, x.Kind, line(x.Name)); err != nil {
			return err
		}
		for _, f := range x.Fields {
			if _, err := fmt.Fprintf(t.out, "    %s: %s → %s\n", f.Name, cell(f.Before), cell(f.After)); err != nil {
				return err
			}
		}
	}
	if d.more > 0 {
		if _, err := fmt.Fprintf(t.out, "… and %d more\n", d.more); err != nil {
			return err
		}
	}
	return nil
}
