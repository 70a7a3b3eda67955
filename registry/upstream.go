package registry

// Upstream is one address that serves an environment, or a pool that the gateway's configuration defines.
// Exactly one of Pool and Address is set.
type Upstream struct {
	// Pool is the name of a pool ("pool:NAME" in text form).
	Pool string `json:"pool,omitempty"`
	// Scheme is "http" or "https".
	Scheme string `json:"scheme,omitempty"`
	// Address is host:port.
	Address string `json:"address,omitempty"`
}
