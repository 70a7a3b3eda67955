package caddymodule

import "math/bits"

// nameSet is a set of 64-bit hashes: an open-addressing table at most three quarters full, so 11 to 21 bytes for a name
// and nothing that the garbage collector would look into. It cannot forget. The zero value is empty. It is not safe for
// concurrent use.
type nameSet struct {
	table []uint64 // of a length that is a power of two; 0 is a free place
	used  int
}

// minNames is the length of the smallest table.
const minNames = 64

// place returns where a hash is in the table, or the free place where it would be. The hashes are keyed, so nobody can
// choose names that crowd one part of it.
func (s *nameSet) place(hash uint64) int {
	mask := uint64(len(s.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s.table[i] == 0 || s.table[i] == hash {
			return int(i)
		}
	}
}

// has reports whether a hash was added.
func (s *nameSet) has(hash uint64) bool {
	if s.used == 0 {
		return false
	}
	return s.table[s.place(nonZero(hash))] != 0
}

// add adds a hash.
func (s *nameSet) add(hash uint64) {
	if 4*(s.used+1) > 3*len(s.table) {
		s.grow(max(minNames, 2*len(s.table)))
	}
	hash = nonZero(hash)
	if i := s.place(hash); s.table[i] == 0 {
		s.table[i] = hash
		s.used++
	}
}

// grow makes the table one of n places.
func (s *nameSet) grow(n int) {
	old := s.table
	s.table = make([]uint64, n)
	for _, hash := range old {
		if hash != 0 {
			s.table[s.place(hash)] = hash
		}
	}
}

// fit makes the table as short as its content allows.
func (s *nameSet) fit() {
	need := (4*s.used + 2) / 3
	if n := max(minNames, 1<<bits.Len(uint(need))); n < len(s.table) {
		s.grow(n)
	}
}

// nonZero keeps a hash apart from a free place.
func nonZero(hash uint64) uint64 {
	if hash == 0 {
		return 1
	}
	return hash
}
