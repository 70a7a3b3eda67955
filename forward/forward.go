package forward

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/wire"
)

// bodyBuffer is how much of a response's body is read at once, in bytes.
const bodyBuffer = 32 << 10

// CanForward says whether a request can be passed on by this package.
func CanForward(r *http.Request) bool { return wire.CanSend(r) }

// Forwarder passes requests on. It is safe for concurrent use.
type Forwarder struct {
	transport *wire.Transport
	buffers   sync.Pool // *[]byte of bodyBuffer bytes
}

// New returns a forwarder that sends requests over transport, whose limits are the ones that apply.
func New(transport *wire.Transport) *Forwarder {
	f := &Forwarder{transport: transport}
	f.buffers.New = func() any { b := make([]byte, bodyBuffer); return &b }
	return f
}

// FieldAppender has header fields that are not in the request's map.
type FieldAppender interface {
	// AppendFields appends the fields as lines, each with [wire.AppendField] or known to be valid.
	AppendFields(b []byte) ([]byte, error)
	// Replaces says that a field of the request is not sent, because the appended ones are in its place.
	Replaces(name string) bool
}

// Exchange is a request on its way, and what is known of the response. It is used once, by one goroutine.
type Exchange struct {
	// Request is what the server has received. It is not changed, except that its body is read.
	Request *http.Request
	// Writer gets the response.
	Writer http.ResponseWriter
	// Trusted says that whoever has sent the request is a proxy that can be believed: what its X-Forwarded-* say is kept.
	Trusted bool
	// Fields are sent in addition to those of the request; nil for none.
	Fields FieldAppender

	// Begun says that the response's header was written: nothing else can be answered any more.
	Begun bool
	// Status is that of the response; 0 until there is one.
	Status int
	// Header is the response's as the upstream has sent it, without the fields for one connection; nil until there is one.
	Header http.Header
	// Latency is the time from the beginning to the response's header; 0 until there is one.
	Latency time.Duration

	nominates bool // the request's Connection names fields
}

// errWriting is around the client's errors, to tell them from the upstream's.
var errWriting = errors.New("forward: writing the response")

// IsClientError says whether an error of [Forwarder.Do] came from writing to the client.
func IsClientError(err error) bool { return errors.Is(err, errWriting) }

// Do passes the request on to address, which is host:port, and the response back. An error of the transport, as it is, or
// one of the client's (see [IsClientError]) says why that did not succeed. If x.Begun is set then, the response that has
// begun must not be ended as if it were whole: panic with http.ErrAbortHandler.
//
// If nobody answers at the address, nothing has been read from the body, and Do can be tried again with another one.
func (f *Forwarder) Do(x *Exchange, address string) error {
	start := time.Now()
	resp, err := f.transport.Send(x.Request, address, x)
	if err != nil {
		return err
	}
	x.Latency = time.Since(start)
	return f.respond(x, resp)
}
