package harness

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// DNS is a name server on loopback, by UDP and TCP, that knows what a test tells it.
type DNS struct {
	// Address is its "127.0.0.1:port".
	Address string

	mu      sync.Mutex
	records map[string][]dns.RR // by lower-case name with the final dot
	silent  bool
	asked   int
}

// StartDNS starts a name server that knows nothing yet. It ends with the test.
func StartDNS(t testing.TB) *DNS {
	t.Helper()
	s := &DNS{records: map[string][]dns.RR{}}
	conn, ln := listenBoth(t)
	s.Address = ln.Addr().String()
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	for _, server := range []*dns.Server{{PacketConn: conn, Handler: s}, {Listener: ln, Handler: s}} {
		up := make(chan struct{})
		server.NotifyStartedFunc = func() { close(up) }
		running.Go(func() { server.ActivateAndServe() }) //nolint:errcheck // ends with the test
		<-up
		t.Cleanup(func() { server.Shutdown() }) //nolint:errcheck // ends with the test
	}
	return s
}

// listenBoth listens on a port that is free for UDP and TCP.
func listenBoth(t testing.TB) (conn net.PacketConn, ln net.Listener) {
	t.Helper()
	for range 100 {
		address := FreeAddress(t)
		var err error
		if ln, err = net.Listen("tcp", address); err != nil { //nolint:noctx // loopback, at once
			continue
		}
		if conn, err = net.ListenPacket("udp", address); err == nil { //nolint:noctx // loopback, at once
			return conn, ln
		}
		ln.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// ServeDNS implements dns.Handler.
func (s *DNS) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	s.mu.Lock()
	s.asked++
	silent := s.silent
	known, ok := s.records[strings.ToLower(q.Name)]
	for _, rr := range known {
		if rr.Header().Rrtype == q.Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	s.mu.Unlock()
	if silent {
		return
	}
	if !ok {
		m.Rcode = dns.RcodeNameError
	}
	if w.LocalAddr().Network() == "udp" {
		m.Truncate(dns.MinMsgSize)
	}
	w.WriteMsg(m) //nolint:errcheck // the client has its own timeout
}

// SetTXT makes a name have these TXT records and no others. A record longer than 255 bytes is cut into several strings.
func (s *DNS) SetTXT(name string, records ...string) {
	list := make([]dns.RR, 0, len(records))
	for _, r := range records {
		rr := &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}}
		for len(r) > 255 {
			rr.Txt, r = append(rr.Txt, r[:255]), r[255:]
		}
		rr.Txt = append(rr.Txt, r)
		list = append(list, rr)
	}
	s.set(name, list)
}

// SetTXTStrings makes a name have one TXT record of several strings.
func (s *DNS) SetTXTStrings(name string, parts ...string) {
	s.set(name, []dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}, Txt: parts,
	}})
}

// SetAddresses makes a name have these addresses and nothing else.
func (s *DNS) SetAddresses(name string, addresses ...string) {
	list := make([]dns.RR, 0, len(addresses))
	for _, a := range addresses {
		h := dns.RR_Header{Name: dns.Fqdn(name), Class: dns.ClassINET, Ttl: 1}
		if ip := net.ParseIP(a); strings.Contains(a, ":") {
			h.Rrtype = dns.TypeAAAA
			list = append(list, &dns.AAAA{Hdr: h, AAAA: ip})
		} else {
			h.Rrtype = dns.TypeA
			list = append(list, &dns.A{Hdr: h, A: ip})
		}
	}
	s.set(name, list)
}

// Silence makes the server answer nothing any more, or again.
func (s *DNS) Silence(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = on
}

// Asked returns how many questions came so far.
func (s *DNS) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *DNS) set(name string, list []dns.RR) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[strings.ToLower(dns.Fqdn(name))] = list
}
