package caddymodule

import (
	"fmt"
	"io"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// progressBar is one line on a terminal that is written over; elsewhere it is nothing.
type progressBar struct {
	terminal
	last  time.Time
	drawn bool
}

// progressInterval is the shortest time between two versions of the line.
const progressInterval = 100 * time.Millisecond

// show draws how far an import has come.
func (b *progressBar) show(p registry.ImportProgress) {
	if !b.due() {
		return
	}
	line := fmt.Sprintf("%s: %d tenants, %d environments", p.Phase, p.Tenants, p.Environments)
	if p.TotalTenants > 0 {
		line = fmt.Sprintf("%s: %d of %d tenants (%d %%), %d environments",
			p.Phase, p.Tenants, p.TotalTenants, 100*p.Tenants/p.TotalTenants, p.Environments)
	}
	b.draw(line)
}

// due reports whether the line may be drawn again.
func (b *progressBar) due() bool { return b.live && time.Since(b.last) >= progressInterval }

func (b *progressBar) draw(line string) {
	b.last, b.drawn = time.Now(), true
	_, _ = fmt.Fprintf(b.err, "\r\x1b[K%s", line)
}

// clear removes the line.
func (b *progressBar) clear() {
	if b.drawn {
		_, _ = fmt.Fprint(b.err, "\r\x1b[K")
	}
}

// progressWriter shows how much was written.
type progressWriter struct {
	w       io.Writer
	bar     *progressBar
	written int64
}

// Write implements [io.Writer].
func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if p.written += int64(n); p.bar.due() {
		p.bar.draw(fmt.Sprintf("exporting: %.1f MB written", float64(p.written)/1e6))
	}
	return n, err
}
