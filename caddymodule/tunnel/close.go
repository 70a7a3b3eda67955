package tunnel

import "encoding/binary"

// The codes with which a WebSocket is ended (RFC 6455 §7.4.1).
const (
	// GoingAway: the server goes down.
	GoingAway = 1001
	// PolicyViolation: what was allowed is not allowed any more.
	PolicyViolation = 1008
)

// MaxReason is how many bytes of a reason fit into a close frame: a control frame's payload has at most 125, and the
// code takes two (RFC 6455 §5.5).
const MaxReason = 123

// AppendClose appends a close frame as a server sends it, unmasked (RFC 6455 §5.5.1). The reason has to be ASCII; what
// is beyond [MaxReason] is cut off.
func AppendClose(b []byte, code uint16, reason string) []byte {
	reason = reason[:min(len(reason), MaxReason)]
	b = append(b, 0x80|opcodeClose, byte(2+len(reason)))
	b = binary.BigEndian.AppendUint16(b, code)
	return append(b, reason...)
}
