package caddymodule

import "time"

// How a stream waits to be asked about.
const (
	notQueued = iota
	queuedLater
	queuedRoutine
	queuedUrgent
)

// enqueue lets s be asked about.
func (set *streams) enqueue(s *stream, how uint8) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if s.queued >= how {
		return
	}
	s.queued = how
	switch how {
	case queuedUrgent:
		set.urgent = append(set.urgent, s)
	case queuedRoutine:
		set.routine = append(set.routine, s)
	case queuedLater:
		if set.later = append(set.later, s); len(set.later) == 1 {
			time.AfterFunc(recheckPause, set.retry)
		}
		return
	}
	set.signal()
}

// retry ends the pause.
func (set *streams) retry() {
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, s := range set.later {
		if s.queued == queuedLater {
			s.queued = queuedRoutine
			set.routine = append(set.routine, s)
		}
	}
	set.later = nil
	set.signal()
}

// signal wakes a loop. The caller holds mu.
func (set *streams) signal() {
	select {
	case set.wake <- struct{}{}:
	default:
	}
}

// dequeue returns the next stream to ask about, or nil. While there are more, other loops are woken.
func (set *streams) dequeue() *stream {
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, queue := range []struct {
		list *[]*stream
		how  uint8
	}{{&set.urgent, queuedUrgent}, {&set.routine, queuedRoutine}} {
		for n := len(*queue.list); n > 0; n-- {
			s := (*queue.list)[n-1]
			(*queue.list)[n-1] = nil
			*queue.list = (*queue.list)[:n-1]
			if s.queued != queue.how {
				continue // it waits elsewhere, too, or has had its turn
			}
			s.queued = notQueued
			if len(set.urgent)+len(set.routine) > 0 {
				set.signal()
			}
			return s
		}
		*queue.list = nil // do not keep the memory of the largest crowd
	}
	return nil
}
