//go:build !unix

package wire

// rawReads says that idle connections cannot be looked at without waiting here, so that all requests are handed over.
const rawReads = false

type rawStep struct{ bound func(fd uintptr) bool }

func (c *conn) begin([]byte, bool) (written int, gone bool, err error) { return 0, false, nil }

func (c *conn) quiet() bool { return false }

func (c *conn) advance(uintptr) bool { return true }
