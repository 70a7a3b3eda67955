// Package tunnel ends WebSockets that a proxy carries, the way RFC 6455 wants it: with a close frame that says why.
//
// A proxy copies bytes in both directions and knows nothing of frames. A [Tunnel] stands between the proxy and the
// client, follows the frames by their headers alone ([Frames]), and when it is told to end, waits for the frame in
// progress, sends a close frame ([AppendClose]) and nothing after it, lets the client's own close frame through to the
// upstream, and nothing else. [Hijacked] makes one of a hijacked connection:
//
//	conn, brw, t := tunnel.Hijacked(conn, brw, abort)
//	…
//	t.End(tunnel.PolicyViolation, "tenant_suspended", time.Second)
package tunnel
