package caddymodule

import "net/http"

// late reports whether the headers of an admitted request are set only when it is forwarded: see [Inject.Late].
func (st *state) late() bool { return st != nil && st.handler.late && st.decision.Resolved != nil }

// placement remembers where the headers were set that have waited, by the first of them.
type placement struct {
	key   string
	value *string
}

// in reports whether that was in this header, and not in one of which it is a copy.
func (p *placement) in(header http.Header) bool {
	if p == nil {
		return false
	}
	values := header[p.key]
	return len(values) == 1 && &values[0] == p.value
}

// injectLate sets the headers that have waited until the request is forwarded, if there are any, in place of whatever has
// come under their names since. It may be called for each attempt, for which proxies may make the header anew; one that has
// them already may still be read by the attempt before, and is not touched.
func injectLate(r *http.Request) {
	st := stateOf(r.Context())
	if !st.late() || st.placed.in(r.Header) {
		return
	}
	st.told = true
	st.handler.owned.strip(r)
	st.handler.set(r.Header, st)
	for i := range st.handler.injections {
		if values := r.Header[st.handler.injections[i].key]; len(values) == 1 {
			st.placed = &placement{st.handler.injections[i].key, &values[0]}
			break
		}
	}
}

// AppendFields implements forward.FieldAppender: the headers that have waited, without a way through the request's map.
func (st *state) AppendFields(b []byte) ([]byte, error) {
	st.told = true
	list := st.handler.injections
	for i := range list {
		if v := st.value(list[i].fact); v != "" {
			b = append(append(b, list[i].line...), v...) // fit for a header, see fact
			b = append(b, "\r\n"...)
		}
	}
	return b, nil
}

// Replaces implements forward.FieldAppender: nothing else is sent under the names that the gateway owns.
func (st *state) Replaces(name string) bool { return st.handler.owned.contains(name) }
