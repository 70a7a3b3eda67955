package fleet

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// errLost is what a call returns that was not even tried.
var errLost = errors.New("redis is lost")

// link is the connection to Redis, and knows whether it is of use.
//
// It begins lost. While it is lost no request waits for anything; a loop in the background connects and sends
// heartbeats, and the first that succeeds ends the loss. The heartbeat writes, so that a replica or a full server is not
// taken for one that works. The first call that fails begins the next loss.
type link struct {
	o      *Options
	option rueidis.ClientOption
	key    string // of the set of nodes

	up     atomic.Bool
	client atomic.Pointer[rueidis.Client]
	nodes  atomic.Int64 // last known, at least 1
	back   time.Time    // when Redis was last found to be back; of run's own
	// offset is Redis's clock less this node's, in µs: Unix time less the time since epoch.
	offset atomic.Int64

	// first is closed once it is known whether Redis answers at all.
	first     chan struct{}
	firstOnce sync.Once
	// wake tells the loop that Redis was lost.
	wake chan struct{}

	calls, failures, losses atomic.Int64
	// logged is when a loss was last logged, in ns since epoch; a link that flaps does not fill the log. told says that the
	// return of Redis, which has not come yet, is to be logged as well.
	logged atomic.Int64
	told   atomic.Bool
	epoch  time.Time
}

const (
	// firstPause and lastPause bound the pause between two attempts to reach a Redis that is lost.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
	// ioTimeout bounds dialing and each exchange on a connection, so that one that hangs is closed.
	ioTimeout = 500 * time.Millisecond
	// logPause is the least time between two lines about a loss.
	logPause = 10 * time.Second
)

func newLink(o *Options) *link {
	l := &link{
		o: o, key: o.Prefix + "{nodes}", first: make(chan struct{}), wake: make(chan struct{}, 1), epoch: time.Now(),
		option: clientOption(o),
	}
	l.nodes.Store(1)
	l.logged.Store(-int64(logPause))
	return l
}

// clientOption returns what the client is made with.
func clientOption(o *Options) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: o.Address.Hosts, ForceSingleClient: !o.Address.Cluster, SelectDB: o.Address.DB,
		Username: o.Address.User, Password: o.Address.Password, ClientName: "tenantgate", TLSConfig: o.TLS,
		Dialer: net.Dialer{Timeout: ioTimeout}, DialCtxFn: dialGuarded, ConnWriteTimeout: max(ioTimeout, 2*o.Timeout),
		DisableCache: true, DisableRetry: true, PipelineMultiplex: 1,
		ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
		ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: 5 * time.Second, MaxMovedRedirections: 3},
	}
}

// exec runs a script and returns within the timeout, whatever the client does.
func (l *link) exec(script *rueidis.Lua, timeout time.Duration, keys, args []string) (rueidis.RedisResult, error) {
	client := l.client.Load()
	if client == nil {
		return rueidis.RedisResult{}, errLost
	}
	began := time.Now()
	ctx, cancel := background(timeout)
	done := make(chan rueidis.RedisResult, 1)
	go func() {
		defer cancel()
		done <- script.Exec(ctx, *client, keys, args)
	}()
	var r rueidis.RedisResult
	select {
	case r = <-done:
	case <-ctx.Done():
		// The client has a moment to say so itself; it may be busy dialing, which knows no deadline of ours.
		select {
		case r = <-done:
		default:
			r = rueidis.NewErrorResult(context.DeadlineExceeded)
		}
	}
	err := r.Error()
	l.calls.Add(1)
	if err != nil {
		l.failures.Add(1)
	}
	l.o.Called(time.Since(began), err)
	return r, err
}

// call is exec for requests: a failure that is Redis's and not one key's begins a loss.
func (l *link) call(keys, args []string) (rueidis.RedisResult, error) {
	if !l.up.Load() {
		return rueidis.RedisResult{}, errLost
	}
	r, err := l.exec(takeScript, l.o.Timeout, keys, args)
	if err != nil && !ofOneKey(err) {
		l.lose(err)
	}
	return r, err
}

// ofOneKey reports whether an error says something of the keys of the call only.
func ofOneKey(err error) bool {
	var e *rueidis.RedisError
	if !errors.As(err, &e) {
		return false
	}
	word, _, _ := strings.Cut(e.Error(), " ")
	switch word {
	case "WRONGTYPE", "CROSSSLOT", "ERR":
		return true
	}
	return false
}

// lose begins a loss.
func (l *link) lose(err error) {
	l.firstOnce.Do(func() { close(l.first) })
	if !l.up.CompareAndSwap(true, false) {
		return
	}
	l.losses.Add(1)
	l.logLoss(err)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// logLoss logs a loss, unless another was logged a moment ago.
func (l *link) logLoss(err error) {
	now := int64(time.Since(l.epoch))
	if before := l.logged.Load(); now-before < int64(logPause) || !l.logged.CompareAndSwap(before, now) {
		return
	}
	l.told.Store(true)
	l.o.Logger.Warn("redis is lost; deciding quotas without it until it is back", "redis", l.o.Address.String(),
		"on_loss", string(l.o.OnLoss), "nodes", l.nodes.Load(), "error", safeError(err))
}

// safeError shortens an error for the log. What Redis answers names no password, and what the client says is of
// addresses and timeouts; but both may be of any length.
func safeError(err error) string {
	text := err.Error()
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return text
}

// run connects and sends heartbeats until ctx ends, then says good-bye.
func (l *link) run(ctx context.Context) {
	pause, failed := firstPause, 0
	begun := time.Now()
	for {
		err := l.beat(l.o.Heartbeat * 3)
		switch {
		case err == nil:
			pause, failed = firstPause, 0
			if !l.up.Swap(true) {
				l.firstOnce.Do(func() { close(l.first) })
				if l.told.Swap(false) {
					l.o.Logger.Info("redis is back", "redis", l.o.Address.String(), "nodes", l.nodes.Load(),
						slog.Duration("after", time.Since(begun)))
				}
			}
			select {
			case <-ctx.Done():
				l.end()
				return
			case <-time.After(l.o.Heartbeat):
			case <-l.wake:
				begun = time.Now()
			}
			continue
		case l.up.Load():
			begun = time.Now()
			l.lose(err)
		default:
			l.firstOnce.Do(func() { close(l.first) })
			if !l.told.Load() { // at the start, or too soon after the loss before
				l.logLoss(err)
			}
		}
		// A connection to a server that has become a replica stays open, so that after some failures all are made anew.
		if failed++; failed%3 == 0 {
			l.drop()
		}
		select {
		case <-ctx.Done():
			l.end()
			return
		case <-time.After(pause):
		case <-l.wake:
		}
		pause = min(2*pause, lastPause)
	}
}

// beat connects if need be, and says that this node lives for so long.
func (l *link) beat(life time.Duration) error {
	if l.client.Load() == nil {
		c, err := rueidis.NewClient(l.option)
		if err != nil {
			return err
		}
		l.client.Store(&c)
	}
	before := time.Now()
	r, err := l.exec(beatScript, l.o.Timeout, []string{l.key}, []string{l.o.Node, integer(life.Microseconds())})
	if err != nil {
		return err
	}
	n, err := r.AsIntSlice()
	if err != nil {
		return err
	}
	if len(n) == 2 {
		if !l.up.Load() {
			l.back = before
		}
		// A Redis that comes back may have forgotten who there is, until all have said so again.
		if n[0] > l.nodes.Load() || before.Sub(l.back) >= 3*l.o.Heartbeat {
			l.nodes.Store(max(n[0], 1))
		}
		l.offset.Store(n[1] - time.Since(l.epoch).Microseconds() + time.Since(before).Microseconds()/2)
	}
	return nil
}

// redisTime returns Redis's time, as far as it is known; before the first heartbeat this machine's.
func (l *link) redisTime() time.Time {
	offset := l.offset.Load()
	if offset == 0 {
		return time.Now().UTC()
	}
	return time.UnixMicro(offset + time.Since(l.epoch).Microseconds()).UTC()
}

// drop closes the client; the next beat makes another one.
func (l *link) drop() {
	if c := l.client.Swap(nil); c != nil {
		go (*c).Close() // it may wait for what hangs
	}
}

// end takes this node out of the count.
func (l *link) end() {
	if l.up.Swap(false) {
		_ = l.beat(0)
	}
	l.drop()
}
