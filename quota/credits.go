package quota

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// credits are what cores have taken of a contended tally ahead of need: each core spends from a cache line of its own,
// and changes the word that all share once in a few hundred requests.
//
// Nothing is exceeded by that, because what is on credit is part of the word, and so of all comparisons. Nobody is refused
// for it either: who finds no room collects what is on credit, and decides by the word alone. Where it matters what
// exactly is counted (a limit, or a threshold that somebody is told of, is near), nothing is given on credit. Credits
// know no time: they belong to a tally, and one of an account ends with its day.
type credits struct {
	// moving is held while a core is given credit, and while all is collected.
	moving atomic.Bool
	// retired says that these are not the tally's credits any more; under moving.
	retired bool
	// turn is odd while somebody may hold something.
	turn atomic.Uint64
	// least is the lowest number that the tally can have.
	least int64
	list  []credit
}

// credit is what one core holds.
type credit struct {
	// word is how much it is; above that whether it is open, that is, may be spent and given back to; and above that how
	// often that has changed, so that who spends by compare-and-swap knows that it is the same.
	word atomic.Uint64
	_    [lane.Size - 8]byte
}

const (
	heldBits   = 16
	heldMask   = 1<<heldBits - 1
	creditOpen = 1 << heldBits
	creditNext = 2 << heldBits
)

const (
	// creditShare bounds what is given on credit at once: that part of what is free, if that is leastBatch at least.
	creditShare = 64
	// mostCredit bounds what a core holds.
	mostCredit = 256
	// mostHeld is the most that all cores can hold together.
	mostHeld = mostStripes * mostCredit
)

// sealed are the credits of tallies that were evicted: none, for ever.
var sealed = &credits{retired: true, list: make([]credit, 1)}

func newCredits(least int64) *credits {
	n := 1 << bits.Len(uint(2*runtime.GOMAXPROCS(0)-1))
	return &credits{least: least, list: make([]credit, min(n, mostStripes))}
}

// creditOf returns how much is given on credit with so much room; 0 when that is too little.
func creditOf(room int64) int64 {
	if n := min(room/creditShare, mostCredit); n >= leastBatch {
		return n
	}
	return 0
}

// turn says whether somebody may hold something, and changes whenever that does.
type turn uint64

func (t turn) holding() bool { return t&1 != 0 }

func (s *credits) now() turn {
	if s == nil {
		return 0
	}
	return turn(s.turn.Load())
}

func (s *credits) tryLock() bool { return s.moving.CompareAndSwap(false, true) }

func (s *credits) lock() {
	for !s.tryLock() {
		runtime.Gosched() // it is held for less than a microsecond, unless its holder has lost the processor
	}
}

func (s *credits) unlock() { s.moving.Store(false) }

// mine returns what the caller's core holds.
func (s *credits) mine(n *lane.Number) *credit {
	if *n == 0 {
		*n = lane.Mine()
	}
	return &s.list[n.Of(len(s.list))]
}

// spend takes a cost from what the core holds, which it first adds to if need be, as long as the tally's word is at most
// quiet.
func (s *credits) spend(c *tally, n *lane.Number, cost, quiet int64) bool {
	st := s.mine(n)
	for {
		word := st.word.Load()
		if word&creditOpen == 0 || int64(word&heldMask) < cost {
			return s.fill(c, st, cost, quiet)
		}
		if c.n.Load() > quiet {
			return false
		}
		if st.word.CompareAndSwap(word, word-uint64(cost)) {
			return true
		}
		*n = lane.Move()
	}
}

// fill counts a cost, and gives the core as much on credit as there may be.
func (s *credits) fill(c *tally, st *credit, cost, quiet int64) bool {
	if !s.tryLock() {
		return false
	}
	defer s.unlock()
	n := c.n.Load()
	if s.retired || n == deadCount || n > quiet {
		return false
	}
	batch := creditOf(quiet - n)
	if cost > batch/leastBatch {
		return false
	}
	if t := s.now(); !t.holding() {
		s.turn.Add(1) // before anybody can see the word with more in it than was counted
	}
	had := st.close()
	if had >= cost || !c.n.CompareAndSwap(n, n+cost+batch-had) {
		st.open(had) // somebody has given back what is enough, or has changed the word
		return false
	}
	st.open(batch)
	return true
}

// giveBack adds to what the core holds, if it is open.
func (s *credits) giveBack(n *lane.Number, cost int64) bool {
	st := s.mine(n)
	for {
		word := st.word.Load()
		if word&creditOpen == 0 || cost > mostCredit-int64(word&heldMask) {
			return false
		}
		if st.word.CompareAndSwap(word, word+uint64(cost)) {
			return true
		}
		*n = lane.Move()
	}
}

// open lets a core spend so much. The caller holds moving.
func (c *credit) open(held int64) {
	c.word.Store(c.word.Load()&^(creditNext-1) + creditNext | creditOpen | uint64(held))
}

// close takes what a core holds. The caller holds moving.
func (c *credit) close() (held int64) {
	for {
		word := c.word.Load()
		if word&creditOpen == 0 {
			return 0
		}
		if c.word.CompareAndSwap(word, word&^(creditNext-1)+creditNext) {
			return int64(word & heldMask)
		}
	}
}

// held returns what all cores hold. The caller holds moving.
func (s *credits) held() (sum int64) {
	for i := range s.list {
		sum += int64(s.list[i].word.Load() & heldMask)
	}
	return sum
}

// gather collects what all cores hold. From then on they have to ask before they spend, and give back to the tally.
func (s *credits) gather(c *tally) {
	s.lock()
	defer s.unlock()
	if !s.retired {
		s.collect(c)
	}
}

// collect moves what all cores hold back into the tally. More than was taken can have been given back, by who gives back
// what it has not taken: that is forgotten. The caller holds moving.
func (s *credits) collect(c *tally) {
	sum := int64(0)
	for i := range s.list {
		sum += s.list[i].close()
	}
	if n := c.n.Add(-sum); n < s.least {
		c.n.CompareAndSwap(n, s.least)
	}
	if s.now().holding() {
		s.turn.Add(1)
	}
}
