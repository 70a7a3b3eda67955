package caddymodule

import "net/http"

// stripped strips the request and returns its header, with room for what is injected: where the map would have to grow, a
// larger one takes its place, which is filled while the request is stripped. Growing is most of what injecting costs.
func (h *Handler) stripped(r *http.Request, st *state) http.Header {
	if n := h.injected(st); grows(len(r.Header), n) && st.placeholdersRead(r) {
		larger := make(http.Header, len(r.Header)+n)
		var whole bool
		if whole, st.upgrade = h.owned.stripInto(r, larger); whole {
			r.Header = larger
		}
	} else {
		_, st.upgrade = h.owned.stripInto(r, nil)
	}
	return r.Header
}

// injected returns how many headers are injected at the most. Requests of nobody in particular need no room for the user's.
func (h *Handler) injected(st *state) int {
	n := len(h.injections)
	if st.decision.User == "" {
		for i := n - 1; i >= 0 && h.injections[i].fact >= factUserID; i-- {
			if f := h.injections[i].fact; f == factUserID || f == factUserRole && len(st.decision.Roles) == 0 {
				n--
			}
		}
	}
	return n
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
