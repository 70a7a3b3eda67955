package fleet

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// kind says how a limit counts.
type kind uint8

const (
	kindNone kind = iota // limits nothing
	kindRate
	kindDay
	kindMonth
	kindConcurrent
)

// letter is the kind's name in keys and scripts; allowances differ by the text of their period.
func (k kind) letter() string {
	switch k {
	case kindRate:
		return "r"
	case kindConcurrent:
		return "c"
	}
	return "a"
}

// allowance reports whether the kind counts by the calendar.
func (k kind) allowance() bool { return k == kindDay || k == kindMonth }

// id tells the limits of this node apart. A tenant can have one of each kind with the same [quota.Key].
type id struct {
	quota.Key
	kind kind
}

// appendName appends the name of a limit's key in Redis, for example
//
//	tenantgate:{0190a000000070008000000000000001}:r:1:0190a000000070008000000000000001
//
// In braces stands what a cluster places keys by: the tenant's id, so that all limits of a request are in one place.
// After the prefix, which has no brace, every part but the period at the end has a fixed length or ends at a colon that
// it cannot contain, so that no two limits have the same name.
func appendName(b []byte, prefix string, tag *[16]byte, k *id, period time.Time) []byte {
	b = append(append(b, prefix...), '{')
	b = hex.AppendEncode(b, tag[:])
	b = append(b, "}:"...)
	b = append(b, k.kind.letter()...)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(k.Scope), 10)
	b = append(b, ':')
	b = hex.AppendEncode(b, k.ID[:])
	switch k.kind {
	case kindDay:
		b = period.AppendFormat(b, ":2006-01-02")
	case kindMonth:
		b = period.AppendFormat(b, ":2006-01")
	}
	return b
}
