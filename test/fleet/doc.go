// Command fleet simulates a fleet of gateways: the limiters of N gateways, each with a clock of its own that is wrong,
// against one real Redis. Traffic is uneven and more than the limits allow, gateways join and leave and fall silent with
// leases in hand, and Redis is restarted empty or paused if asked for. It prints for each tenant what was admitted against
// its limit, and how often gateways have lost Redis: on a machine that has no time for it they do by themselves, and each loss
// may cost a burst.
//
//	go run ./test/fleet -nodes 4,16,64 -for 20s
//	go run ./test/fleet -nodes 4 -for 20s -restart 5s -pause 10s
package main
