package quota

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// Promise: a registry that fails is told of once when it begins and once when it is over, though two loops meet it.
func TestFailingIsToldOnce(t *testing.T) {
	broken := errors.New("broken")
	var told []error
	l := NewLocal(LocalOptions{Usage: UsageOptions{Failed: func(_ context.Context, err error) { told = append(told, err) }}})
	for _, step := range []struct {
		loop int
		err  error
		want []error
	}{
		{loopFlush, nil, nil},
		{loopLoad, broken, []error{broken}},
		{loopFlush, broken, nil},
		{loopLoad, broken, nil},
		{loopLoad, nil, nil},
		{loopFlush, broken, nil},
		{loopFlush, nil, []error{nil}},
		{loopLoad, nil, nil},
		{loopFlush, broken, []error{broken}},
		{loopFlush, nil, []error{nil}},
	} {
		told = nil
		if l.ledger.note(t.Context(), step.loop, step.err); !slices.Equal(told, step.want) {
			t.Errorf("loop %d, %v: told %v, want %v", step.loop, step.err, told, step.want)
		}
	}
}
