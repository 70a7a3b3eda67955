package wire

import (
	"errors"
	"net"
)

// ErrNotPlain is what becomes of requests that would be handed over, where there is nobody to hand them to.
var ErrNotPlain = errors.New("wire: not a plain HTTP/1.1 request, and there is no transport to hand it to")

// Error says what a transport was doing when something failed. It is a net.Error, so that callers can tell a timeout.
type Error struct {
	// Op is what failed, as "reading the response".
	Op string
	// Err is why. It never holds what a peer has sent.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return "wire: " + e.Op + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout says whether the time was up.
func (e *Error) Timeout() bool {
	var timeout net.Error
	return errors.As(e.Err, &timeout) && timeout.Timeout()
}

// Temporary implements net.Error, and says the same as Timeout.
func (e *Error) Temporary() bool { return e.Timeout() }

// headerTimeout is the error when ResponseHeaderTimeout is over.
type headerTimeout struct{}

// Error implements error.
func (headerTimeout) Error() string { return "timeout awaiting the response's header" }

// Timeout implements net.Error.
func (headerTimeout) Timeout() bool { return true }

// Temporary implements net.Error.
func (headerTimeout) Temporary() bool { return true }

// What is wrong with a response, or a request. Neither is quoted: it may hold secrets.
var (
	errStatusLine     = errors.New("malformed status line")
	errVersion        = errors.New("unsupported version of HTTP")
	errBareLF         = errors.New("line without CR LF")
	errFold           = errors.New("folded header line")
	errFieldName      = errors.New("malformed header name")
	errFieldValue     = errors.New("malformed header value")
	errHeaderSize     = errors.New("header exceeds the limit")
	errLength         = errors.New("malformed or repeated Content-Length")
	errEncoding       = errors.New("unsupported Transfer-Encoding")
	errLengthEncoding = errors.New("both Content-Length and Transfer-Encoding")
	errTrailer        = errors.New("trailer that frames the message")
	errChunk          = errors.New("malformed chunk")
	errChunkSize      = errors.New("chunk size is too large")
	errChunkExcess    = errors.New("chunks hold too little")
	errSwitch         = errors.New("protocol switch that nobody asked for")
	errInterim        = errors.New("too many interim responses")
	errClosedEarly    = errors.New("server closed the connection without a response")
	errMethod         = errors.New("invalid method")
	errTarget         = errors.New("invalid request target")
	errHost           = errors.New("invalid Host")
	errBodyLong       = errors.New("body is longer than its Content-Length")
	errBodyShort      = errors.New("body is shorter than its Content-Length")
)

// Interface guards
var (
	_ net.Error = (*Error)(nil)
	_ net.Error = headerTimeout{}
)
