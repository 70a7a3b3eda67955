package wire_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// ownHost is a loopback address that nobody else on this machine connects to by chance, as happens on 127.0.0.1 where tests
// of other processes ask for ports on which they believe nobody to listen. It is 127.0.0.1 where there is only that.
var ownHost = sync.OnceValue(func() string {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "127.0.0.1"
	}
	l.Close()
	return host
})

// listen listens on a free port of ownHost.
func listen() net.Listener {
	l, err := net.Listen("tcp", net.JoinHostPort(ownHost(), "0"))
	if err != nil {
		panic(err)
	}
	return l
}
