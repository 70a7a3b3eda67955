package tunnel

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// frame makes a frame (RFC 6455 §5.2), masked as a client's if mask is.
func frame(first byte, payload string, mask bool) []byte {
	b := []byte{first}
	var masked byte
	if mask {
		masked = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	if mask {
		b = append(b, 1, 2, 3, 4)
	}
	for i := range len(payload) {
		c := payload[i]
		if mask {
			c ^= byte(1 + i%4)
		}
		b = append(b, c)
	}
	return b
}

// TestFrames keeps the promise that the end of a frame is found, however its bytes come.
func TestFrames(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bytes  []byte
		closed bool
	}{
		{"empty text", frame(0x81, "", false), false},
		// RFC 6455 §5.7.
		{"Hello", []byte{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, false},
		{"Hello, masked", []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, false},
		{"first fragment", []byte{0x01, 0x03, 0x48, 0x65, 0x6c}, false},
		{"ping", []byte{0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, false},
		{"125 bytes", frame(0x82, strings.Repeat("x", 125), false), false},
		{"126 bytes", frame(0x82, strings.Repeat("x", 126), false), false},
		{"256 bytes", frame(0x82, strings.Repeat("x", 256), true), false},
		{"64 KiB less one", frame(0x82, strings.Repeat("x", 1<<16-1), true), false},
		{"64 KiB", frame(0x82, strings.Repeat("x", 1<<16), true), false},
		{"close", AppendClose(nil, PolicyViolation, "tenant_suspended"), true},
		{"close, empty", frame(0x88, "", true), true},
		{"compressed", frame(0xc1, "abc", true), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			following := frame(0x81, "next", false)
			var f Frames
			if n := f.Next(append(bytes.Clone(tt.bytes), following...)); n != len(tt.bytes) || !f.Between() || f.Closed() != tt.closed {
				t.Errorf("at once: %d of %d bytes, between %v, closed %v", n, len(tt.bytes), f.Between(), f.Closed())
			}
			f = Frames{}
			if !f.Between() || f.Closed() {
				t.Error("the zero value is not before the first frame")
			}
			for i := range tt.bytes {
				if n := f.Next(tt.bytes[i : i+1]); n != 1 || f.Between() != (i == len(tt.bytes)-1) || f.Closed() != tt.closed {
					t.Fatalf("byte %d of %d: %d, between %v, closed %v", i, len(tt.bytes), n, f.Between(), f.Closed())
				}
			}
		})
	}
	var endless Frames
	endless.Next([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	for range 10 {
		if n := endless.Next(make([]byte, 1<<16)); n != 1<<16 || endless.Between() {
			t.Fatal("a frame of a length that is forbidden has ended")
		}
	}
}

// TestAppendClose keeps the promise that a close frame is valid whatever the reason.
func TestAppendClose(t *testing.T) {
	if got, want := AppendClose(nil, PolicyViolation, "bye"), []byte{0x88, 5, 0x03, 0xf0, 'b', 'y', 'e'}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	if got := AppendClose(nil, GoingAway, strings.Repeat("r", 1000)); len(got) != 2+125 || got[1] != 125 {
		t.Errorf("%d bytes, header % x", len(got), got[:2])
	}
}

// ends returns where the frames of a stream end, by the plainest way to find out.
func ends(b []byte) (list []int) {
	for at := 0; ; {
		if len(b)-at < 2 {
			return list
		}
		header, length := 2, uint64(b[at+1]&0x7f)
		switch length {
		case 126:
			header += 2
		case 127:
			header += 8
		}
		extended := header
		if b[at+1]&0x80 != 0 {
			header += 4
		}
		if len(b)-at < header {
			return list
		}
		switch extended {
		case 4:
			length = uint64(binary.BigEndian.Uint16(b[at+2:]))
		case 10:
			length = binary.BigEndian.Uint64(b[at+2:])
		}
		if uint64(len(b)-at-header) < length {
			return list
		}
		at += header + int(length)
		list = append(list, at)
	}
}

// FuzzFrames keeps the promise that frames end at the same places however a stream is cut, and that no stream does harm.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x89, 0}, []byte{1, 2})
	f.Add(frame(0x82, strings.Repeat("x", 300), true), []byte{3, 200})
	f.Add([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, []byte{9})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		var frames Frames
		var got []int
		at := 0
		for turn := 0; at < len(stream); turn++ {
			chunk := len(stream) - at
			if len(cuts) > 0 {
				chunk = min(chunk, 1+int(cuts[turn%len(cuts)]))
			}
			for rest := stream[at : at+chunk]; len(rest) > 0; {
				n := frames.Next(rest)
				if n <= 0 || n > len(rest) {
					t.Fatalf("%d of %d bytes", n, len(rest))
				}
				rest = rest[n:]
				at += n
				if frames.Between() {
					got = append(got, at)
				} else if len(rest) > 0 {
					t.Fatalf("stopped at %d inside a frame", at)
				}
			}
		}
		want := ends(stream)
		if len(got) != len(want) {
			t.Fatalf("ends %v, want %v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("ends %v, want %v", got, want)
			}
		}
	})
}
