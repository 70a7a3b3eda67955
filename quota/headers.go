package quota

import (
	"strconv"
	"time"
)

// Field names of draft-ietf-httpapi-ratelimit-headers-10, and the older ones that many clients read.
const (
	// HeaderPolicy carries what [AppendPolicy] writes.
	HeaderPolicy = "RateLimit-Policy"
	// HeaderRateLimit carries what [AppendRateLimit] writes. Its canonical form in Go is "Ratelimit".
	HeaderRateLimit = "RateLimit"
	// HeaderRetryAfter carries what [AppendRetryAfter] writes (RFC 9110 §10.2.3).
	HeaderRetryAfter = "Retry-After"
	// HeaderXLimit carries what [AppendXLimit] writes.
	HeaderXLimit = "X-RateLimit-Limit"
	// HeaderXRemaining carries what [AppendXRemaining] writes.
	HeaderXRemaining = "X-RateLimit-Remaining"
	// HeaderXReset carries what [AppendXReset] writes.
	HeaderXReset = "X-RateLimit-Reset"
)

// maxInteger is the largest Integer of a structured field: 15 digits (RFC 9651 §3.3.1). Larger numbers are told as
// this one.
const maxInteger = 999_999_999_999_999

// AppendPolicy appends the value of a RateLimit-Policy field to b, for example
//
//	"requests";q=60;w=60, "day";q=1000;w=86400, "month";q=10000, "concurrency";q=10;qu="concurrent-requests"
//
// q and w of a rate are the requests and the period (in seconds) as it was configured: what is granted over time.
// The burst, how many may come at once, is what r of [AppendRateLimit] counts down from, so r of an untouched bucket
// is below q when the burst is smaller than a period's requests, and above it when the burst is larger. An allowance
// per month has no w, because months differ; its end is in t of the RateLimit field. Concurrency has the quota unit
// (qu) of the draft for it. Limits that set nothing, only count, or are shadow limits are left out; nothing is appended when no limit
// remains, and then no field should be sent.
func AppendPolicy(b []byte, limits []Limit) []byte {
	first := true
	for i := range limits {
		l := &limits[i]
		if !l.reported() {
			continue
		}
		b = appendItem(b, l.Name, first)
		first = false
		switch {
		case !l.Rate.IsZero():
			b = appendInteger(append(b, ";q="...), l.Rate.requests)
			b = appendInteger(append(b, ";w="...), int64(l.Rate.period/time.Second))
		case l.Allowance.Max > 0:
			b = appendInteger(append(b, ";q="...), l.Allowance.Max)
			if l.Allowance.Period == PeriodDay {
				b = appendInteger(append(b, ";w="...), daySeconds)
			}
		default:
			b = appendInteger(append(b, ";q="...), l.Concurrent)
			b = append(b, `;qu="concurrent-requests"`...)
		}
	}
	return b
}

// AppendRateLimit appends the value of a RateLimit field to b, for example
//
//	"requests";r=12;t=5, "month";r=9321;t=604800, "concurrency";r=7
//
// r is what remains: how many requests may still come at once. t is the number of seconds, rounded up, until that
// grows ("until additional quota is made available", draft -10 §4.1.2): by one for a rate, to the whole for an
// allowance, whose period then ends. It is 0 when the bucket is full, and left out for concurrency. For a rate it is not
// the time until the bucket is full again: the draft says that Retry-After should not name an earlier moment than t,
// and the right Retry-After of a bucket that fills evenly comes long before it is full.
func AppendRateLimit(b []byte, limits []Limit, statuses []Status) []byte {
	first := true
	for i := range limits {
		if !limits[i].reported() {
			continue
		}
		b = appendItem(b, limits[i].Name, first)
		b = appendInteger(append(b, ";r="...), statuses[i].Remaining)
		if limits[i].Concurrent == 0 {
			b = appendInteger(append(b, ";t="...), seconds(statuses[i].Next))
		}
		first = false
	}
	return b
}

// RetryAfter returns the longest wait of all limits exceeded: how long to wait before the request passes all of
// them. It is 0 when none is exceeded and [Never] when no wait helps.
func RetryAfter(statuses []Status) time.Duration {
	var longest time.Duration
	for i := range statuses {
		switch s := &statuses[i]; {
		case !s.Exceeded:
		case s.RetryAfter == Never:
			return Never
		default:
			longest = max(longest, s.RetryAfter)
		}
	}
	return longest
}

// AppendRetryAfter appends the value of a Retry-After field to b: whole seconds, rounded up, at least 1
// (RFC 9110 §10.2.3, delay-seconds). It appends nothing when wait is [Never]: then no field should be sent.
func AppendRetryAfter(b []byte, wait time.Duration) []byte {
	if wait == Never {
		return b
	}
	return appendInteger(b, max(seconds(wait), 1))
}

// FormatRetryAfter returns what [AppendRetryAfter] appends. Waits of less than 100 s, as of most rates, cost no allocation.
func FormatRetryAfter(wait time.Duration) string {
	if wait == Never {
		return ""
	}
	return strconv.FormatInt(min(max(seconds(wait), 1), maxInteger), 10)
}

// AppendXLimit appends the value of an X-RateLimit-Limit field to b: the limit's number ([Limit.Size]; of a rate the
// burst), which is what X-RateLimit-Remaining counts down from.
func AppendXLimit(b []byte, limit *Limit) []byte { return appendInteger(b, limit.Size()) }

// AppendXRemaining appends the value of an X-RateLimit-Remaining field to b: how many may still come at once.
func AppendXRemaining(b []byte, status *Status) []byte { return appendInteger(b, status.Remaining) }

// AppendXReset appends the value of an X-RateLimit-Reset field to b: seconds, rounded up, until the bucket is full
// again and Remaining is Limit. (A delay, as in the first drafts; some services send a Unix time under this name.)
func AppendXReset(b []byte, status *Status) []byte { return appendInteger(b, seconds(status.Reset)) }

// appendItem begins a member of a List: its separator, and the name as a String (RFC 9651 §4.1.1, §4.1.6).
func appendItem(b []byte, name string, first bool) []byte {
	if !first {
		b = append(b, ", "...)
	}
	b = append(b, '"')
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~' || c == '%':
			// A String has printable ASCII only. Percent-encoding the rest, and the percent sign, keeps different
			// names different.
			const hex = "0123456789ABCDEF"
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendInteger appends a non-negative Integer of at most 15 digits.
func appendInteger(b []byte, n int64) []byte {
	return strconv.AppendInt(b, min(max(n, 0), maxInteger), 10)
}

// seconds rounds up to whole seconds; a client that waits that long has waited long enough.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return max(s, 0)
}
