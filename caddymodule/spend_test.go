package caddymodule

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

// narrow has room for one request in flight at every level.
func narrow() *registry.Resolved {
	res := globex()
	res.Tenant.Quotas = registry.Quotas{MaxConcurrentRequests: 1}
	res.Environment.Quotas = &registry.Quotas{MaxConcurrentRequests: 1}
	return res
}

// TestSlots keeps the promise that a slot is held as long as the handlers behind run, and no longer: also when they panic
// or fail, and when a request is refused by another limit.
func TestSlots(t *testing.T) {
	res := narrow()
	res.Tenant.Quotas.APIRateLimit, res.Tenant.Quotas.Burst = 1, 4
	h := testHandler(t, testApp(t, res), &Handler{}, subdomains())
	request := func(next caddyhttp.HandlerFunc) (status int, err error) {
		w, r := testRequest(http.MethodGet, "http://globex.app.test/", nil)
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		err = h.ServeHTTP(w, r, next)
		return w.Code, err
	}
	inFlight := func() int64 {
		limits := []quota.Limit{
			{Key: quota.Key{Scope: quota.ScopeTenant, ID: res.Tenant.ID}, Concurrent: 1},
			{Key: quota.Key{Scope: quota.ScopeEnvironment, ID: res.Environment.ID}, Concurrent: 1},
		}
		out := make([]quota.Status, 2)
		h.runtime.quota.Take(time.Now(), 0, limits, out)
		return 2 - out[0].Remaining - out[1].Remaining
	}
	ok := func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNoContent); return nil }
	if status, err := request(func(w http.ResponseWriter, r *http.Request) error {
		if n := inFlight(); n != 2 {
			t.Errorf("%d slots are taken", n)
		}
		if status, err := request(ok); status != http.StatusTooManyRequests || err != nil {
			t.Errorf("a second request at once: %d, %v", status, err)
		}
		return ok(w, r)
	}); status != http.StatusNoContent || err != nil || inFlight() != 0 {
		t.Errorf("%d, %v, %d slots taken", status, err, inFlight())
	}
	if _, err := request(func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }); err == nil || inFlight() != 0 {
		t.Errorf("after a panic: %v, %d slots taken", err, inFlight())
	}
	if _, err := request(func(http.ResponseWriter, *http.Request) error { return net.ErrClosed }); err == nil || inFlight() != 0 {
		t.Errorf("after an error: %v, %d slots taken", err, inFlight())
	}
	if status, _ := request(ok); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	if status, _ := request(ok); status != http.StatusTooManyRequests || inFlight() != 0 { // the rate
		t.Errorf("status %d, %d slots taken", status, inFlight())
	}
}

// TestSlotsOfUpgrade keeps the promise that what was upgraded, such as a WebSocket, counts as long as it is open.
func TestSlotsOfUpgrade(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
		for rw.Flush() == nil {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(rw, line)
		}
	}))
	defer upstream.Close()
	s := newServer(t)
	document := fmt.Sprintf(`{"tenants": [{"slug": "acme", "name": "Acme", "plan": "free", "quotas": {"maxConcurrentRequests": 1},
 "environments": [{"slug": "production", "name": "p", "type": "production", "isDefault": true, "upstreams": [%q]}]}]}`, upstream.Listener.Addr())
	s.mustLoad(fmt.Sprintf("registry file:%s {\nimport_file %s\n}", s.dir+"/tenants.db", s.file("tenants.json", document)),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\nreverse_proxy {\ndynamic tenant\n}")

	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+s.port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: acme.app.test\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\nhello\n")
	reader := bufio.NewReader(conn)
	for line := ""; line != "hello\n"; {
		if line, err = reader.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if res, body := s.get("acme.app.test", "/"); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("beside an open connection: status %d %s", res.StatusCode, body)
	}
	conn.Close()
	eventually(t, "the slot is free", func() bool {
		res, _ := s.get("acme.app.test", "/")
		return res.StatusCode == http.StatusOK
	})
}

// TestKeyLimits keeps the promise that an API key's own limits come on top, and are the key's alone.
func TestKeyLimits(t *testing.T) {
	credential := &registry.Credential{
		ID:     "0190a000-0000-7000-8000-0000000000f1",
		Quotas: registry.Quotas{APIRateLimit: 60, MaxAPICallsPerDay: 5, MaxAPICallsPerMonth: 6, MaxConcurrentRequests: 7},
	}
	limits := appendLimits(nil, globex(), credential)
	names := ""
	for i := range limits {
		if limits[i].Size() > 0 {
			names += limits[i].Name + " "
		}
		if limits[i].Owner() != globexID {
			t.Errorf("%s belongs to another tenant", limits[i].Name)
		}
	}
	if names != "requests environment key key-day key-month key-concurrency " || slotsOf(limits) != levelKey.slot {
		t.Errorf("limits: %s; slots %d", names, slotsOf(limits))
	}
	res := globex()
	all := registry.Quotas{APIRateLimit: 1, MaxAPICallsPerDay: -5, MaxAPICallsPerMonth: 1 << 62, MaxConcurrentRequests: -1}
	res.Tenant.Quotas, res.Environment.Quotas, credential.Quotas = all, &all, all
	limits = appendLimits(nil, res, credential)
	if len(limits) != maxLimits {
		t.Errorf("%d limits", len(limits))
	}
	for i := range limits { // values from a registry written by hand never mean no limit
		if size := limits[i].Size(); size < 1 || size > quota.MaxRequests {
			t.Errorf("%s: %d", limits[i].Name, size)
		}
	}
}

// TestViolatedPolicies keeps the promise that the body of a refusal names all limits that refused.
func TestViolatedPolicies(t *testing.T) {
	res := globex()
	res.Tenant.Quotas = registry.Quotas{MaxAPICallsPerDay: 1, MaxAPICallsPerMonth: 1}
	res.Environment.Quotas = nil
	h := testHandler(t, testApp(t, res), &Handler{}, subdomains())
	serve(t, h, http.MethodGet, "http://globex.app.test/", nil)
	refused, behind := serve(t, h, http.MethodGet, "http://globex.app.test/", nil)
	var body struct {
		Type             string
		ExceededQuota    string
		ViolatedPolicies []string `json:"violated-policies"`
	}
	if err := json.Unmarshal([]byte(refused.Body), &body); err != nil || behind != nil {
		t.Fatal(err, behind)
	}
	if body.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" || body.ExceededQuota != "maxApiCallsPerMonth" && body.ExceededQuota != "maxApiCallsPerDay" ||
		fmt.Sprint(body.ViolatedPolicies) != "[day month]" {
		t.Errorf("%s", refused.Body)
	}
}
