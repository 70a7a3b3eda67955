package quota

import (
	"encoding/binary"
	"math/bits"
)

// hasher mixes keys into 64 bits by one wide multiplication. Ids are random or hashes as a rule, but those made by
// hand are consecutive numbers. Its two words are random, so that nobody can choose ids that collide.
type hasher [2]uint64

func (h *hasher) hash(k *Key) uint64 { return h.with(k, 0) }

// with hashes a key together with a number.
func (h *hasher) with(k *Key, n uint64) uint64 {
	a := binary.LittleEndian.Uint64(k.ID[:8]) ^ h[0]
	b := binary.LittleEndian.Uint64(k.ID[8:]) ^ h[1] ^ (uint64(k.Scope)|n<<8)*0x9e3779b97f4a7c15 // 2^64 / golden ratio
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
