package wire

// Sweep looks at the idle connections now.
func (t *Transport) Sweep() { t.pool.sweep() }
