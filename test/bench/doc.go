// Command bench measures the built gateway against plain reverse_proxy of the same binary and against what people use
// instead, side by side: all servers are up at once, pinned to the same cores, and are asked in turn for a slice of a
// second or so by wrk, round after round. Only ratios within one round mean anything; the tables give their median and
// their spread.
//
// It is started by ./test/bench/run, which builds both programs first. README.md says how to read the tables.
//
// The frame knows three things: a [server] is a process, a [candidate] is a question put to a server (address, host
// names, the status that every answer must have), and a [scenario] starts servers and compares candidates. A [peer] of
// another kind, such as nginx, is one more server with its own command line and a template in peers/. What comes of a
// run is a report in Markdown, and with -results a page with a plot.
package main
