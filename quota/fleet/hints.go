package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// Hints tell gateways on the same registry at once that it has changed. They are no more than hints: one can be lost, and
// whoever gets one looks for himself.
type Hints struct {
	o       Options
	channel string
	changed func()
	publish chan struct{}
}

// NewHints returns the hints about a registry, named by an id that all its gateways know and that is not secret (at most
// 128 bytes). changed is called for each hint of another gateway, and whenever the connection is made anew, because
// hints may have been missed; it must not block. Of the options Address, TLS, Prefix, Timeout, Node and Logger count.
// Nothing is connected before [Hints.Run].
func NewHints(o Options, registry string, changed func()) (*Hints, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if registry == "" || len(registry) > 128 {
		return nil, errors.New("a registry is named by 1 to 128 bytes")
	}
	return &Hints{
		o: o, channel: o.Prefix + "changed:" + integer(int64(len(registry))) + ":" + registry, changed: changed,
		publish: make(chan struct{}, 1),
	}, nil
}

// Publish tells the others, soon. It never waits; several at once become one, and without a connection nobody is told.
func (h *Hints) Publish() {
	select {
	case h.publish <- struct{}{}:
	default:
	}
}

// Run listens and publishes until ctx ends, and connects anew whenever the connection is lost.
func (h *Hints) Run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := h.connected(ctx)
		if ctx.Err() != nil {
			return
		}
		h.o.Logger.Debug("the connection for hints is lost", "redis", h.o.Address.String(), "error", safeError(err))
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// connected listens and publishes for as long as one connection lasts.
func (h *Hints) connected(ctx context.Context) error {
	client, err := rueidis.NewClient(clientOption(&h.o))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan error, 1)
	// The client confirms the subscription by a hook; that is the moment from which no hint is missed.
	subscribed := rueidis.WithOnSubscriptionHook(ctx, func(s rueidis.PubSubSubscription) {
		if s.Kind == "subscribe" {
			h.changed()
		}
	})
	go func() {
		lost <- client.Receive(subscribed, client.B().Subscribe().Channel(h.channel).Build(), func(m rueidis.PubSubMessage) {
			if m.Message != h.o.Node {
				h.changed()
			}
		})
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return err
		case <-h.publish:
			call, cancel := context.WithTimeout(ctx, max(h.o.Timeout, ioTimeout))
			err := client.Do(call, client.B().Publish().Channel(h.channel).Message(h.o.Node).Build()).Error()
			cancel()
			if err != nil {
				return err
			}
		}
	}
}
