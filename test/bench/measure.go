package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// candidate is a question put to a server.
type candidate struct {
	Name   string
	Server *process
	Hosts  hostNames
	// Status is what every answer must have.
	Status int
	// Tolerated is how many answers of a slice may have another status: a limit lets a request through now and then.
	Tolerated int64
	// Draws says which tenants are asked for, in which order; nil means all in turn.
	Draws *draws
	// Tokens is a file with a bearer token for each tenant; empty means none.
	Tokens string
	// Load asks it; nil means the run's own wrk.
	Load *wrk
	// Metered says that a slice is over only when the server, a gateway, has written what its tenants have used: so that
	// the next one's is not disturbed, and that the cost is known.
	Metered bool
	// Upstream is what must arrive upstream for each tenant, by number; nil means that nobody looks.
	Upstream []tenantFacts
}

// question returns what wrk asks in a round.
func (c candidate) question(round int) question {
	q := question{Hosts: c.Hosts, Tokens: c.Tokens}
	if c.Draws != nil {
		q.Draws, q.From = c.Draws.Path, c.Draws.from(round)
	}
	return q
}

// sample is what one slice of one candidate showed.
type sample struct {
	load
	// ServerCPU is what the server used during the slice.
	ServerCPU time.Duration
	// WholeCPU is what it used until it had written everything, for a candidate that is Metered.
	WholeCPU time.Duration
	// RSS is the server's resident memory at the end of the slice, in bytes.
	RSS int64
	// Others is how many cores other work on the machine kept busy.
	Others float64
}

// cpuPerRequest returns the server's processor time for each answer, in microseconds.
func (s sample) cpuPerRequest() float64 {
	return float64(s.ServerCPU.Microseconds()) / float64(s.Requests)
}

// busy returns how many cores the server kept busy.
func (s sample) busy() float64 {
	return float64(s.ServerCPU.Microseconds()) / float64(s.DurationMicros)
}

// measure asks the candidates in turn, a slice each, round after round, after one round that is not counted. The
// result is by candidate, then by round. A wrong answer ends the measurement with an error.
func (b *bench) measure(ctx context.Context, candidates []candidate) ([][]sample, error) {
	for _, c := range candidates {
		if err := c.check(ctx); err != nil {
			return nil, err
		}
	}
	samples := make([][]sample, len(candidates))
	for round := range b.rounds + 1 {
		for _, i := range turn(len(candidates), round) {
			c := candidates[i]
			s, err := b.undisturbed(ctx, c, round)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", c.Name, round, err)
			}
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
		b.progress("round %d of %d", round, b.rounds)
	}
	return samples, nil
}

// turn returns the order of n candidates in a round: each round begins with another one, and every second round
// goes backwards, so that nobody always follows the same neighbour.
func turn(n, round int) []int {
	order := make([]int, n)
	for k := range order {
		if round%2 == 0 {
			order[k] = (round + k) % n
		} else {
			order[k] = (round + n - k) % n
		}
	}
	return order
}

// tries is how often a slice is taken at most. On a machine that has much else to do a request may wait longer than wrk
// does, and a run of ten minutes should not end with that. A wrong answer is another matter, and ends it at once.
const tries = 5

// retryPause is how long it waits before the second try; twice as long before the third, and so on.
const retryPause = 500 * time.Millisecond

// errDisturbed is wrapped by errors after which a slice is taken again.
var errDisturbed = errors.New("disturbed")

// undisturbed is [bench.quietSlice], taken again when requests had no answer, and for longer each time. The report says how
// often that was.
func (b *bench) undisturbed(ctx context.Context, c candidate, round int) (sample, error) {
	for try := 1; ; try++ {
		s, err := b.quietSlice(ctx, c, round, time.Duration(try)*b.sliceLength)
		if err == nil || !errors.Is(err, errDisturbed) || try == tries || ctx.Err() != nil {
			return s, err
		}
		b.report.again++
		b.progress("%s, round %d, is taken again: %v", c.Name, round, err)
		select {
		case <-time.After(time.Duration(try) * retryPause):
		case <-ctx.Done():
			return sample{}, ctx.Err()
		}
	}
}

// slice asks one candidate for some time, and checks the answers.
func (b *bench) slice(ctx context.Context, c candidate, round int, length time.Duration) (sample, error) {
	wrk := b.wrk
	if c.Load != nil {
		wrk = c.Load
	}
	before, err := c.Server.usage()
	if err != nil {
		return sample{}, err
	}
	l, err := wrk.run(ctx, c.Server.Address, c.question(round), length)
	if gone := c.Server.alive(); gone != nil {
		return sample{}, gone
	}
	if err != nil {
		return sample{}, err
	}
	after, err := c.Server.usage()
	if err != nil {
		return sample{}, err
	}
	if err := c.verify(l); err != nil {
		return sample{}, err
	}
	s := sample{load: l, ServerCPU: after.CPU - before.CPU, RSS: after.RSS}
	if c.Metered {
		if err := c.Server.waitWritten(ctx); err != nil {
			return sample{}, err
		}
		if after, err = c.Server.usage(); err != nil {
			return sample{}, err
		}
		s.WholeCPU = after.CPU - before.CPU
	}
	return s, nil
}

// verify returns an error when a slice's answers are not what the candidate must give. wrk only tells statuses from
// 400 on from those below; [candidate.check] looks at the status itself.
func (c candidate) verify(l load) error {
	if lost := l.Connect + l.Read + l.Write + l.Timeout; lost > 0 {
		return fmt.Errorf("%w: %d requests without an answer (connect %d, read %d, write %d, timeout %d)",
			errDisturbed, lost, l.Connect, l.Read, l.Write, l.Timeout)
	}
	wrong := l.Refused
	if c.Status >= 400 {
		wrong = l.Requests - l.Refused
	}
	if wrong > c.Tolerated {
		return fmt.Errorf("%d of %d answers had another status than %d", wrong, l.Requests, c.Status)
	}
	if l.Requests == 0 {
		return fmt.Errorf("%w: no answers", errDisturbed)
	}
	return nil
}

// check asks for some of the candidate's names once and compares the status, and what arrives upstream. Where answers
// may differ now and then, it asks each name twice and looks at the second answer.
func (c candidate) check(ctx context.Context) error {
	if err := c.checkUpstream(ctx); err != nil {
		return err
	}
	step := max(1, c.Hosts.Count/10)
	for i := 0; i < c.Hosts.Count; i += step {
		host := c.Hosts.name(i)
		status, err := c.probe(ctx, i)
		if err == nil && c.Tolerated > 0 {
			status, err = c.probe(ctx, i)
		}
		if err != nil {
			return fmt.Errorf("%s: asking for %s: %w", c.Name, host, err)
		}
		if status != c.Status {
			return fmt.Errorf("%s: asking for %s: status %d, want %d%s", c.Name, host, status, c.Status, c.Server.logTail())
		}
	}
	return nil
}
