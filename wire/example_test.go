package wire_test

import (
	"fmt"
	"io"
	"net/http"

	"github.com/tenantgate/tenantgate/wire"
)

// A transport is used like any other; what is not plain HTTP/1.1 goes to the standard one.
func Example() {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	})}
	l := listen()
	go func() { _ = s.Serve(l) }()
	defer s.Close() //nolint:errcheck // it was only read from

	transport := wire.New(wire.Options{Fallback: http.DefaultTransport})
	defer transport.Close()
	client := &http.Client{Transport: transport}
	resp, err := client.Get("http://" + l.Addr().String() + "/api") //nolint:noctx // an example
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err, transport.Idle())
	// Output: GET /api <nil> 1
}
