package fleet

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// Mode says when Redis is asked.
type Mode string

const (
	// ModeLease takes leases ahead of need, so that a busy tenant's requests are decided in memory.
	ModeLease Mode = "lease"
	// ModeExact asks Redis for each request: one round trip for all limits of a request. Concurrency is leased in this
	// mode too, slot by slot, because slots have an owner.
	ModeExact Mode = "exact"
)

// OnLoss says how requests are decided while Redis cannot be asked.
type OnLoss string

const (
	// LossLocal decides in memory, with this node's share of each limit.
	LossLocal OnLoss = "local"
	// LossAllow admits everything.
	LossAllow OnLoss = "allow"
	// LossDeny refuses everything that a limit applies to, also what is on lease.
	LossDeny OnLoss = "deny"
)

const (
	// DefaultTimeout is how long a request waits for Redis at most.
	DefaultTimeout = 50 * time.Millisecond
	// DefaultPrefix begins the names of all keys and channels.
	DefaultPrefix = "tenantgate:"
	// MaxPrefix is the longest prefix, in bytes.
	MaxPrefix = 64
)

// Options are the options of [New]. Only Address is required.
type Options struct {
	// Address says where Redis is.
	Address Address
	// TLS replaces the configuration of TLS where Address.TLS asks for it: an authority of one's own, or a client
	// certificate. Default: the system's authorities, TLS 1.2 or later.
	TLS *tls.Config
	// Mode defaults to ModeLease.
	Mode Mode
	// OnLoss defaults to LossLocal.
	OnLoss OnLoss
	// Timeout bounds each call that a request waits for. Default: [DefaultTimeout].
	Timeout time.Duration
	// Prefix begins the names of all keys and channels, so that two fleets can share one Redis: printable ASCII
	// without braces and spaces, at most [MaxPrefix] bytes. Default: [DefaultPrefix].
	Prefix string
	// Node names this gateway among the others. Default: random, as it should be: a gateway that starts anew has none
	// of the leases of the one before.
	Node string
	// Lease is how long what is on lease may be held: if this gateway dies, that much later its leases end. Default: 10 s.
	Lease time.Duration
	// Heartbeat is how often this gateway says that it lives; after three that are missing the others divide by one
	// less. Default: 1 s.
	Heartbeat time.Duration
	// Idle is how long a lease that nobody spends from is kept before it is given back. Default: 1 s.
	Idle time.Duration
	// Now is the clock from which callers of Take read their now; default time.Now. It need not agree with Redis's, or
	// with any other gateway's.
	Now func() time.Time
	// Local decides while Redis is lost. It is told of every request that Redis admits of an allowance, because it is
	// what records usage, and asked what was used before Redis has heard of an allowance. Its Run is the caller's
	// business. Default: one of its own that records nothing.
	Local *quota.Local
	// Logger gets one line when Redis is lost and one when it is back. Default: none.
	Logger *slog.Logger
	// Called is told of each round trip, how long it took and how it ended; it must not block. Default: none.
	Called func(took time.Duration, err error)
}

// complete checks the options and fills in what was left out.
func (o *Options) complete() error {
	if len(o.Address.Hosts) == 0 {
		return errors.New("no address of Redis")
	}
	if o.Mode == "" {
		o.Mode = ModeLease
	}
	if o.Mode != ModeLease && o.Mode != ModeExact {
		return fmt.Errorf("mode must be lease or exact, not %q", o.Mode)
	}
	if o.OnLoss == "" {
		o.OnLoss = LossLocal
	}
	if o.OnLoss != LossLocal && o.OnLoss != LossAllow && o.OnLoss != LossDeny {
		return fmt.Errorf("on_loss must be local, allow or deny, not %q", o.OnLoss)
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if err := CheckPrefix(o.Prefix); err != nil {
		return err
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		then  time.Duration
	}{
		{"timeout", &o.Timeout, DefaultTimeout},
		{"lease", &o.Lease, 10 * time.Second},
		{"heartbeat", &o.Heartbeat, time.Second},
		{"idle", &o.Idle, time.Second},
	} {
		if *d.value < 0 {
			return fmt.Errorf("%s must be positive", d.name)
		}
		if *d.value == 0 {
			*d.value = d.then
		}
	}
	if o.Node == "" {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		o.Node = hex.EncodeToString(b[:])
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Called == nil {
		o.Called = func(time.Duration, error) {}
	}
	if o.Address.TLS && o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return nil
}

// CheckPrefix returns an error when no fleet can have this prefix.
func CheckPrefix(prefix string) error {
	if len(prefix) > MaxPrefix {
		return fmt.Errorf("prefix must have at most %d bytes", MaxPrefix)
	}
	if strings.ContainsFunc(prefix, func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }) {
		return errors.New("prefix must be printable ASCII without spaces and braces")
	}
	return nil
}

// background returns a context that ends after d, for calls that no request waits for.
func background(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
