package tunnel

import "encoding/binary"

// opcodeClose is the opcode of a close frame (RFC 6455 §5.5.1).
const opcodeClose = 0x8

// maxHeader is the longest header of a frame in bytes: two, a length of eight, a masking key of four (RFC 6455 §5.2).
const maxHeader = 14

// Frames follows one direction of a WebSocket from frame to frame. The zero value stands before the first one. It
// never looks at payloads. A length that RFC 6455 forbids makes a frame that does not end.
type Frames struct {
	header [maxHeader]byte
	have   int    // bytes of the header that were seen
	left   uint64 // bytes of the payload that were not seen, once the header is whole
	within bool   // a frame has begun and not ended
}

// Next consumes what p holds of the frame in progress, or of the next one if there is none, and returns how many bytes
// that is: all of p, or less when the frame ends in it.
func (f *Frames) Next(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	if !f.within {
		f.within, f.have = true, 0
	}
	n := 0
	for f.have < f.headerLength() {
		if n == len(p) {
			return n
		}
		f.header[f.have] = p[n]
		f.have++
		n++
		if f.have == f.headerLength() {
			f.left = f.payloadLength()
		}
	}
	if rest := uint64(len(p) - n); f.left > rest {
		f.left -= rest
		return len(p)
	}
	n += int(f.left)
	f.left, f.within = 0, false
	return n
}

// Between reports whether no frame is in progress: whether another may be put here.
func (f *Frames) Between() bool { return !f.within }

// Closed reports whether the frame in progress, or the last one if there is none, is a close frame.
func (f *Frames) Closed() bool { return f.have > 0 && isClose(f.header[0]) }

// isClose reports whether a frame with that first byte is a close frame.
func isClose(first byte) bool { return first&0x0f == opcodeClose }

// headerLength is how long the header is, as far as can be told from what was seen of it.
func (f *Frames) headerLength() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// payloadLength is what the whole header says.
func (f *Frames) payloadLength() uint64 {
	switch n := f.header[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(n)
	}
}
