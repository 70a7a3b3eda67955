package router

import "strconv"

// wording is what all problems of one refusal have in common, as JSON: all but the instance. It is made once: what is refused
// comes in floods, and escaping the same sentences each time would be most of the work.
type wording struct {
	status              int
	code, title, detail string
	exceeded            *Exceeded

	before, after string // the instance
}

// newWording puts r into words.
func newWording(r *Refusal) *wording {
	b := appendBefore(make([]byte, 0, 512), r)
	n := len(b)
	b = appendAfter(b, r)
	return &wording{r.Status, r.Code, r.Title, r.Detail, r.Exceeded, string(b[:n]), string(b[n:])}
}

// fits reports whether w is what r says. Of a refusal that nobody has changed the strings are the very same, which costs
// no look at their bytes.
func (w *wording) fits(r *Refusal) bool {
	return w.status == r.Status && w.exceeded == r.Exceeded && w.code == r.Code && w.title == r.Title && w.detail == r.Detail
}

// appendBefore appends the problem up to the instance.
func appendBefore(b []byte, r *Refusal) []byte {
	b = append(b, `{"type":`...)
	if r.Exceeded != nil {
		b = appendJSON(b, problemQuotaExceeded, "")
	} else {
		b = appendJSON(b, problemType, r.Code)
	}
	b = append(b, `,"title":`...)
	b = appendJSON(b, "", r.Title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, `,"detail":`...)
	return appendJSON(b, "", r.Detail)
}

// appendAfter appends the problem from behind the instance on.
func appendAfter(b []byte, r *Refusal) []byte {
	b = append(b, `,"code":`...)
	b = appendJSON(b, "", r.Code)
	e := r.Exceeded
	if e == nil {
		return append(b, '}')
	}
	b = append(b, `,"allowed":false,"exceededQuota":`...)
	b = appendJSON(b, "", e.Quota)
	b = append(b, `,"currentUsage":`...)
	b = strconv.AppendInt(b, e.Usage, 10)
	b = append(b, `,"limit":`...)
	b = strconv.AppendInt(b, e.Limit, 10)
	b = append(b, `,"message":`...)
	b = appendJSON(b, "", r.Detail)
	if len(e.Policies) > 0 {
		b = append(b, `,"violated-policies":[`...)
		for i, policy := range e.Policies {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, "", policy)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func init() {
	for _, r := range refusals {
		r.words = newWording(r)
	}
}
