// Command soak runs two gateways for an hour under mixed load, with one registry (a real sqld) and one Redis between them,
// and holds what they do against what they should do, all the time: every answer against the tenants as they are at that
// moment, and memory, goroutines and file descriptors against a straight line.
//
//	./test/soak/run                      # an hour; writes test/soak/REPORT.md and report.svg
//	./test/soak/run -duration 30s        # a look whether it works; too short to say anything of growth
//
// The load is bounded (-rate, 300 requests a second over both gateways). Meanwhile tenants are created, suspended,
// restored, archived, removed, renamed and moved, keys are made and revoked, plans change; the configuration is reloaded;
// sqld and Redis are killed and hung now and then, an upstream dies and comes back, and one gateway is restarted.
//
// What a request may get is known from the changes that were made: a [timeline] holds what was true when. From a
// change's beginning until two polls after its answer both what was and what comes are right on the other gateway; on the
// one that was asked only until the answer. What the registry's outage delays has its two polls after the outage. Tenants
// that nobody changes are steady: they get what they always get, whatever is killed. A request that reaches another tenant
// than the one it asked for is wrong, at any time. Exit status 1 says that something was wrong, or grew.
package main
