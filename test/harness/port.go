package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken from below the range that systems give to outgoing connections (from 32768 on Linux), so that
// nobody is handed one between our look at it and its use.
const firstPort, lastPort = 20000, 31999

var givenPorts = struct {
	sync.Mutex
	taken map[int]bool
}{taken: map[int]bool{}}

// FreeAddress returns a loopback address, "127.0.0.1:port", that nobody listens on, and never the same one twice.
func FreeAddress(t testing.TB) string {
	t.Helper()
	givenPorts.Lock()
	defer givenPorts.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if givenPorts.taken[port] {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		ln, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		ln.Close()
		givenPorts.taken[port] = true
		return address
	}
	t.Fatal("no free port on 127.0.0.1")
	return ""
}
