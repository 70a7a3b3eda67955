package registry

import (
	"encoding/json"
	"io"
	"time"

	"github.com/google/uuid"
)

// documentWriter writes an import document piece by piece: all plans, then all tenants, each of them and each
// environment on a line of its own, so that line numbers in errors and line-wise diffs mean something.
type documentWriter struct {
	w       io.Writer
	buf     []byte
	section string // plans or tenants, once begun
	err     error
}

// flushSize is how much is written at once, in bytes.
const flushSize = 64 << 10

// writeDocument writes doc as a document that reads as the same one.
func writeDocument(w io.Writer, doc *Document) error {
	dw := &documentWriter{w: w}
	for i := range doc.Plans {
		dw.plan(&doc.Plans[i])
	}
	for i := range doc.Tenants {
		dw.tenant(&doc.Tenants[i])
	}
	return dw.finish()
}

// element begins an element of a section.
func (w *documentWriter) element(section string) {
	switch w.section {
	case section:
		w.buf = append(w.buf, ",\n    "...)
	case "":
		w.buf = append(w.buf, "{\n  \""+section+"\": [\n    "...)
	default:
		w.buf = append(w.buf, "\n  ],\n  \""+section+"\": [\n    "...)
	}
	w.section = section
}

// finish ends the document and writes what is left.
func (w *documentWriter) finish() error {
	if w.section == "" {
		w.buf = append(w.buf, "{}\n"...)
	} else {
		w.buf = append(w.buf, "\n  ]\n}\n"...)
	}
	w.flush(0)
	return w.err
}

func (w *documentWriter) flush(above int) {
	if len(w.buf) <= above || w.err != nil {
		return
	}
	_, w.err = w.w.Write(w.buf)
	w.buf = w.buf[:0]
}

func (w *documentWriter) plan(p *DocumentPlan) {
	w.element("plans")
	o := object{b: w.buf}
	o.text("name", p.Name)
	o.quotas(p.Quotas)
	o.upstreams(p.Upstreams)
	w.buf = o.end()
	w.flush(flushSize)
}

func (w *documentWriter) tenant(t *DocumentTenant) {
	w.element("tenants")
	o := object{b: w.buf}
	o.id(t.ID)
	o.text("slug", t.Slug)
	o.optional("name", t.Name)
	o.optional("plan", t.Plan)
	o.optional("status", string(t.Status))
	o.optional("isolationLevel", string(t.Isolation))
	o.instant("subscriptionExpiresAt", t.SubscriptionExpiresAt)
	o.quotas(t.Quotas)
	o.upstreams(t.Upstreams)
	o.metadata(t.Metadata)
	if t.SecurityPolicy != nil {
		o.value("securityPolicy", t.SecurityPolicy)
	}
	if len(t.Environments) > 0 {
		o.name("environments")
		for i := range t.Environments {
			lead := ",\n      "
			if i == 0 {
				lead = "[\n      "
			}
			o.b = append(o.b, lead...)
			o.b = appendEnvironment(o.b, &t.Environments[i])
		}
		o.b = append(o.b, "\n    ]"...)
	}
	w.buf = o.end()
	w.flush(flushSize)
}

func appendEnvironment(b []byte, e *DocumentEnvironment) []byte {
	o := object{b: b}
	o.id(e.ID)
	o.text("slug", e.Slug)
	o.optional("name", e.Name)
	o.optional("type", string(e.Type))
	if e.Default != nil {
		o.value("isDefault", *e.Default)
	}
	o.optional("status", string(e.Status))
	o.nullable("region", e.Region)
	o.upstreams(e.Upstreams)
	o.quotas(e.Quotas)
	o.metadata(e.Metadata)
	if e.Domains != nil {
		o.value("domains", e.Domains)
	}
	if e.Members != nil {
		members := make([]memberJSON, len(e.Members))
		for i, m := range e.Members {
			members[i] = memberJSON(m)
		}
		o.value("members", members)
	}
	if d := e.Database; d != nil {
		o.name("database")
		in := object{b: o.b}
		in.text("driver", d.Driver)
		in.optional("name", d.Name)
		in.nullable("url", d.URL)
		in.nullable("schema", d.Schema)
		in.nullable("region", d.Region)
		o.b = in.end()
	}
	return o.end()
}

// memberJSON is a DocumentMember with the format's names.
type memberJSON struct {
	UserID string `json:"userId"`
	Role   string `json:"role"`
}

// object appends the members of a JSON object to a buffer.
type object struct {
	b    []byte
	some bool
}

// end closes the object and returns the buffer.
func (o *object) end() []byte {
	if !o.some {
		o.b = append(o.b, '{')
	}
	return append(o.b, '}')
}

func (o *object) name(name string) {
	if o.some {
		o.b = append(o.b, ", "...)
	} else {
		o.b = append(o.b, '{')
	}
	o.some = true
	o.b = append(append(append(o.b, '"'), name...), `": `...)
}

// value appends anything that encoding/json can write; it fails for none of our types.
func (o *object) value(name string, v any) {
	o.name(name)
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	o.b = append(o.b, text...)
}

func (o *object) text(name, s string) { o.value(name, s) }

func (o *object) optional(name, s string) {
	if s != "" {
		o.value(name, s)
	}
}

// nullable leaves out nil, and writes "" as null, which removes the value.
func (o *object) nullable(name string, s *string) {
	switch {
	case s == nil:
	case *s == "":
		o.value(name, nil)
	default:
		o.value(name, *s)
	}
}

func (o *object) id(id uuid.UUID) {
	if id != uuid.Nil {
		o.value("id", id.String())
	}
}

func (o *object) instant(name string, t *time.Time) {
	switch {
	case t == nil:
	case t.IsZero():
		o.value(name, nil)
	default:
		o.value(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func (o *object) quotas(q *Quotas) {
	if q != nil {
		o.value("quotas", q)
	}
}

func (o *object) upstreams(list []Upstream) {
	if list != nil {
		o.name("upstreams")
		o.b = append(o.b, upstreamsJSON(list)...)
	}
}

func (o *object) metadata(m map[string]string) {
	if m != nil {
		o.value("metadata", m) // encoding/json sorts the keys
	}
}

// upstreamsJSON writes upstreams as a list of their text forms.
func upstreamsJSON(list []Upstream) string {
	names := make([]string, len(list))
	for i, u := range list {
		names[i] = u.String()
	}
	text, err := json.Marshal(names)
	if err != nil {
		panic(err) // strings
	}
	return string(text)
}
