package quota

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// EnforcementResult is what a refusal's problem+json body says of the quota. It marshals to the same JSON by
// encoding/json as by [EnforcementResult.AppendJSON], except that the latter words the message when there is none.
type EnforcementResult struct {
	// Allowed is false in a refusal.
	Allowed bool `json:"allowed"`
	// ExceededQuota names the quota that refused: the limit's policy name, as in the RateLimit headers.
	ExceededQuota string `json:"exceededQuota,omitempty"`
	// CurrentUsage is what is used of Limit at this moment. Of a rate, that is what is spent of the bucket and has
	// not been refilled: the burst less what remains.
	CurrentUsage int64 `json:"currentUsage"`
	// Limit is what CurrentUsage can be at most. Of a rate, that is the burst.
	Limit int64 `json:"limit"`
	// Message says the same to people; empty means a sentence made of the other fields. It names no tenant.
	Message string `json:"message,omitempty"`
	// RetryAfter is the wait of which the made sentence speaks; 0 for none, [Never] when no wait helps.
	RetryAfter time.Duration `json:"-"`
}

// Enforce returns the result of a [Store.Take]: of the limit that matters most ([Tightest]). With no limit at all
// it is allowed.
func Enforce(limits []Limit, statuses []Status) EnforcementResult {
	i := Tightest(limits, statuses)
	if i < 0 {
		return EnforcementResult{Allowed: true}
	}
	limit, status := &limits[i], &statuses[i]
	r := EnforcementResult{
		Allowed:      !status.Exceeded,
		CurrentUsage: limit.Size() - status.Remaining,
		Limit:        limit.Size(),
	}
	if status.Exceeded {
		r.ExceededQuota = limit.Name
		r.RetryAfter = status.RetryAfter
	}
	return r
}

// AppendJSON appends r as a JSON object to b. It allocates nothing when b has room.
func (r *EnforcementResult) AppendJSON(b []byte) []byte {
	return append(r.AppendMembers(append(b, '{')), '}')
}

// AppendMembers appends the members of r's JSON object without the braces, to go into an object with others:
//
//	"allowed":false,"exceededQuota":"requests","currentUsage":20,"limit":20,"message":"…"
func (r *EnforcementResult) AppendMembers(b []byte) []byte {
	b = append(b, `"allowed":`...)
	b = strconv.AppendBool(b, r.Allowed)
	if r.ExceededQuota != "" {
		b = append(b, `,"exceededQuota":"`...)
		b = appendEscaped(b, r.ExceededQuota)
		b = append(b, '"')
	}
	b = append(b, `,"currentUsage":`...)
	b = strconv.AppendInt(b, r.CurrentUsage, 10)
	b = append(b, `,"limit":`...)
	b = strconv.AppendInt(b, r.Limit, 10)
	switch {
	case r.Message != "":
		b = append(b, `,"message":"`...)
		b = appendEscaped(b, r.Message)
		b = append(b, '"')
	case !r.Allowed:
		b = append(b, `,"message":"`...)
		b = r.appendSentence(b)
		b = append(b, '"')
	}
	return b
}

// appendSentence appends the message that is made of the other fields, escaped for JSON.
func (r *EnforcementResult) appendSentence(b []byte) []byte {
	b = append(b, "Quota "...)
	if r.ExceededQuota != "" {
		b = append(b, `\"`...)
		b = appendEscaped(b, r.ExceededQuota)
		b = append(b, `\" `...)
	}
	b = append(b, "exceeded: "...)
	b = strconv.AppendInt(b, r.CurrentUsage, 10)
	b = append(b, " of "...)
	b = strconv.AppendInt(b, r.Limit, 10)
	b = append(b, " used"...)
	switch {
	case r.RetryAfter == Never:
		b = append(b, "; the request costs more than the limit can ever hold"...)
	case r.RetryAfter > 0:
		b = append(b, "; retry in "...)
		b = strconv.AppendInt(b, seconds(r.RetryAfter), 10)
		b = append(b, " s"...)
	}
	return append(b, '.')
}

// appendEscaped appends s as the inside of a JSON string (RFC 8259 §7), with the characters escaped that encoding/json
// escapes, so that it is safe inside HTML too.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && n == 1:
				b = append(b, `\ufffd`...)
			case r == '\u2028' || r == '\u2029': // line ends in JavaScript, though not in JSON
				b = append(b, `\u202`...)
				b = append(b, hex[r&15])
			default:
				b = append(b, s[i:i+n]...)
			}
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return b
}

// AppendViolatedPolicies appends a JSON array of the names of all limits that refused: the member "violated-policies" of
// the problem type quota-exceeded (draft-ietf-httpapi-ratelimit-headers-10 §5.1).
func AppendViolatedPolicies(b []byte, limits []Limit, statuses []Status) []byte {
	b = append(b, '[')
	first := true
	for i := range limits {
		if !statuses[i].Exceeded || limits[i].Shadow {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = appendEscaped(b, limits[i].Name)
		b = append(b, '"')
		first = false
	}
	return append(b, ']')
}
