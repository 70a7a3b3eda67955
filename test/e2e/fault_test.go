package e2e_test

import (
	"flag"
	"strings"
	"sync"
	"testing"
)

// What the log says about faults; README's chapter "Faults" quotes it.
const (
	pollFails     = "changes in the registry are not seen: polling fails"
	pollIsBack    = "changes in the registry are seen again"
	refreshFails  = "refreshing tenants fails; what is cached is served stale"
	usageFails    = "what was used of quotas cannot be read or saved; counting in memory until it can"
	usageIsBack   = "what was used of quotas is read and saved again"
	claimsFail    = "claimed domains cannot be checked: the registry cannot be used; trying again"
	lookupFails   = "a tenant could not be looked up"
	startsWithout = "the registry cannot be used; serving the tenants of the hot set until it can"
	startIsOver   = "the registry is back"
	hotSetFails   = "the hot set cannot be written; a start without the registry would know older tenants or none"
	hotSetUnused  = "the hot set on disk was not used"
	redisLost     = "redis is lost; deciding quotas without it until it is back"
	redisBack     = "redis is back"
	brokenOff     = "an upstream broke off its response"
	droppedFile   = "every cached tenant is dropped: the registry's file was replaced"
	droppedLog    = "every cached tenant is dropped: the change log no longer reaches back to the last poll"
)

// fault is a row of README's table of faults.
type fault struct {
	name string
	// cached and others are the statuses that clients get while it lasts: of tenants that were served before, or of those
	// that have nothing to do with it, and of others.
	cached, others []int
	// begins and ends are what the log says when it begins and when it is over, each sentence at least once; may is what it
	// may say, depending on the moment.
	begins, ends, may []string
	// elsewhere are the tests that hold the row, as "directory.Name", where it is not one of TestFaults.
	elsewhere []string
}

// faults are all rows of README's table, in its order.
var faults = []fault{
	{name: "registry slow", cached: []int{200}, others: []int{200}},
	{name: "registry behind a narrow link", cached: []int{200}, others: []int{200}},
	{name: "registry hung", cached: []int{200}, others: []int{503}, begins: []string{pollFails, refreshFails, usageFails}, ends: []string{pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "registry cut off", cached: []int{200}, others: []int{503}, begins: []string{pollFails, refreshFails, usageFails}, ends: []string{pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "registry resets connections", cached: []int{200}, others: []int{503}, begins: []string{pollFails, refreshFails, usageFails}, ends: []string{pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "registry answers garbage", cached: []int{200}, others: []int{503}, begins: []string{pollFails, refreshFails, usageFails}, ends: []string{pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "registry file: disk full", cached: []int{200}, others: []int{200}, begins: []string{usageFails}, ends: []string{usageIsBack}},
	{name: "registry file: read-only at the start", cached: []int{200}, others: []int{503}, begins: []string{startsWithout, pollFails, refreshFails, usageFails}, ends: []string{startIsOver, pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "registry file: removed", cached: []int{200}, others: []int{503}, begins: []string{pollFails, refreshFails, usageFails}, ends: []string{pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "registry file: replaced", cached: []int{200}, others: []int{200}, begins: []string{droppedFile}},
	{name: "change log compacted while a gateway was away", cached: []int{200}, others: []int{503}, begins: []string{pollFails, usageFails}, ends: []string{droppedLog, pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "hot set: disk full", cached: []int{200}, others: []int{200}, ends: []string{hotSetFails}},
	{name: "hot set: read-only", cached: []int{200}, others: []int{200}, ends: []string{hotSetFails}},
	{name: "hot set: truncated or garbage", cached: []int{200}, others: []int{200}, begins: []string{hotSetUnused}},
	{name: "Redis slow", cached: []int{200}, others: []int{200}, begins: []string{redisLost}, ends: []string{redisBack}},
	{name: "Redis hung", cached: []int{200}, others: []int{200}, begins: []string{redisLost}, ends: []string{redisBack}},
	{name: "Redis cut off", cached: []int{200}, others: []int{200}, begins: []string{redisLost}, ends: []string{redisBack}},
	{name: "Redis resets connections", cached: []int{200}, others: []int{200}, begins: []string{redisLost}, ends: []string{redisBack}},
	{name: "Redis answers garbage", cached: []int{200}, others: []int{200}, begins: []string{redisLost}, ends: []string{redisBack}},
	{name: "upstream dead", cached: []int{200}, others: []int{502}},
	{name: "upstream hung", cached: []int{200}, others: []int{504}},
	{name: "upstream slow", cached: []int{200}, others: []int{200}},
	{name: "upstream up and down", cached: []int{200}, others: []int{200, 502}},
	{name: "upstream resets in the middle of a body", cached: []int{200}, others: []int{200}},
	{name: "upstream resets in the middle of a body, with `tenant_proxy`", cached: []int{200}, others: []int{200}, begins: []string{brokenOff}},
	{name: "gateway killed and started again, without the registry", cached: []int{200}, others: []int{503}, begins: []string{startsWithout, pollFails, refreshFails, usageFails}, ends: []string{startIsOver, pollIsBack, usageIsBack}, may: []string{lookupFails, claimsFail}},
	{name: "100 reloads under load", cached: []int{200}, others: []int{200}},
	{name: "clock jumps", cached: []int{200}, others: []int{200}, elsewhere: []string{
		"cache.TestClockJumps", "quota.TestClockGoesBack", "quota.TestWildClock",
	}},
}

// tried are the names of the rows that were put to the test.
var tried = struct {
	sync.Mutex
	names map[string]bool
}{names: map[string]bool{}}

// faultNamed returns a row of the table for a test that holds it.
func faultNamed(t *testing.T, name string) fault {
	t.Helper()
	for _, f := range faults {
		if f.name == name {
			tried.Lock()
			defer tried.Unlock()
			tried.names[name] = true
			return f
		}
	}
	t.Fatalf("the table of faults has no row %q", name)
	return fault{}
}

// Promise: no fault costs the clients of a tenant that is cached, or that has nothing to do with it, a response of 5xx;
// the gateway finds out by itself that it is over; and the log says what README says, a few lines for any number of
// requests. Goroutines and file descriptors are then as many as before.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){
		"registry by http": func(t *testing.T) { faultsOfAServer(t, "http") },
		"registry by ws":   func(t *testing.T) { faultsOfAServer(t, "ws") },
		"registry file":    faultsOfAFile,
		"read-only":        faultReadOnly,
		"log compacted":    faultCompacted,
		"hot set":          faultsOfTheHotSet,
		"redis":            faultsOfRedis,
		"upstream":         faultsOfUpstreams,
		"own upstream":     faultsOfOwnUpstreams,
		"killed":           faultKilled,
		"reloads":          faultReloads,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // only some of them
	}
	t.Cleanup(func() {
		if t.Skipped() {
			return
		}
		for _, f := range faults {
			if !tried.names[f.name] && len(f.elsewhere) == 0 {
				t.Errorf("no test has tried %q", f.name)
			}
		}
	})
}
