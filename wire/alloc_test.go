package wire_test

import (
	"fmt"
	"testing"

	"github.com/tenantgate/tenantgate/wire"
)

// chunk returns text as one chunk.
func chunk(text string) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(text), text) }

// Promise: a request and its response of four fields cost no more than 8 allocations: the exchange with the response, the
// header's text, its map (two), its values, and what watches the context (two).
func TestAllocations(t *testing.T) {
	address := cannedServer(t)
	rt := wire.New(noOptions)
	defer rt.Close()
	req, buf := benchRequest(t, address), make([]byte, 32<<10)
	if n := testing.AllocsPerRun(500, func() { exchange(t, rt, req, buf) }); n > 8 {
		t.Errorf("%.1f allocations", n)
	}
}
