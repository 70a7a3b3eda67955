package caddymodule

import "net/http"

// stripped strips the request and returns its header, with room for what is injected: where the map would have to grow, a
// larger one takes its place, which is filled while the request is stripped. Growing is most of what injecting costs.
func (h *Handler) stripped(r *http.Request, st *state) http.Header {
	if n := len(h.injections); grows(len(r.Header), n) && st.placeholdersRead(r) {
		larger := make(http.Header, len(r.Header)+n)
		if h.owned.stripInto(r, larger) {
			r.Header = larger
		}
	} else {
		h.owned.strip(r)
	}
	return r.Header
}

// The first sizes of Go's maps: how many entries a small one holds, and the next larger one before it grows again to
// twice the size. They only decide which way is faster.
const (
	smallMap  = 8
	secondMap = 14
)

// grows reports whether a map that was made for k entries grows when n more are added.
func grows(k, n int) bool {
	size := secondMap
	if k <= smallMap {
		size = smallMap
	}
	for size < k {
		size *= 2
	}
	return k+n > size
}

// placeholdersRead reports whether Caddy's placeholders read r itself. A handler that came before may have put another
// context around the request, and so have made a copy of it, as tracing does: {http.request.header.X-Tenant-ID} then reads
// the original, and knows of a header only if it is in the map that both share.
func (st *state) placeholdersRead(r *http.Request) bool {
	if st.request.Placeholders == nil {
		return true
	}
	method := r.Method
	r.Method = ""
	read, known := st.request.Placeholders.Get("http.request.method")
	r.Method = method
	return known && read == ""
}
