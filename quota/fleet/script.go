package fleet

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

//go:embed take.lua
var takeLua string

// clockLua reads Redis's clock, which is the only one that counts. Redis 7 replicates what a script wrote and not the
// script, so that it may read the clock.
const clockLua = "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n"

// beatLua says that a node lives (or, with a life of 0, that it leaves) and counts those that do. KEYS: the set of
// nodes. ARGV: node, life (us).
const beatLua = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(tonumber(ARGV[2]) / 1000) + 1000))
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return {redis.call('ZCARD', KEYS[1]), now}
`

var (
	takeScript = rueidis.NewLuaScript(clockLua + takeLua)
	beatScript = rueidis.NewLuaScript(clockLua + beatLua)
)

// part is one limit's share of a call.
type part struct {
	c    *cell
	name string
	kind kind
	// size is the burst, the allowance, or the number of slots.
	size int64
	// step is of a rate the time between two requests in µs, of an allowance when its key may go, Unix ms.
	step float64
	// hint is what this node knows, for a key that Redis does not have or has lost: of a rate the debt in µs, of an
	// allowance what is used.
	hint float64
	// need is taken at once, or nothing of the whole call is; soft: only this part is not.
	need int64
	soft bool
	// want is to be leased beyond it.
	want int64
	// held is what is on lease here, back what was and is given back, charge what was admitted here without Redis.
	held, back, charge int64
	// born is when Redis made the key that hint is of, in µs; the answer says when it made the one that is there.
	born int64
	// seq is the call's number. lostSeq is that of the last call about this limit that was sent and never answered, 0 if it was
	// answered; lostHeld and lostCharge are what was on lease and what was charged then.
	seq, lostSeq, lostHeld, lostCharge int64

	// The answer.
	fits bool
	// extra is what was leased.
	extra int64
	// level is the debt in µs of a rate, and otherwise what is free.
	level int64
	// retry is how long until need fits a rate, in µs; -1: never.
	retry int64
	// short says that there was less than wanted because there is no more.
	short bool
}

var errOvertaken = errors.New("the call was overtaken by a later one")

// appendArgs appends what the script wants to know of the part.
func (p *part) appendArgs(args []string) []string {
	soft := "0"
	if p.soft {
		soft = "1"
	}
	return append(args, p.kind.letter(), integer(p.size), strconv.FormatFloat(p.step, 'g', 17, 64),
		strconv.FormatFloat(p.hint, 'f', 0, 64), integer(p.need), soft, integer(p.want), integer(p.held), integer(p.back),
		integer(p.charge), integer(p.born), integer(p.lostSeq), integer(p.lostHeld),
		integer(p.lostCharge))
}

// takeArgs returns the keys and arguments of the script.
func takeArgs(node string, seq int64, life time.Duration, nodes int64, parts []part) (keys, args []string) {
	keys = make([]string, 0, len(parts))
	args = make([]string, 0, 4+14*len(parts))
	args = append(args, node, integer(seq), integer(life.Microseconds()), integer(nodes))
	for i := range parts {
		keys = append(keys, parts[i].name)
		args = parts[i].appendArgs(args)
	}
	return keys, args
}

func integer(n int64) string { return strconv.FormatInt(n, 10) }

// readAnswer fills in the answers of the parts.
func readAnswer(r rueidis.RedisResult, parts []part) error {
	n, err := r.AsIntSlice()
	switch {
	case err != nil:
		return err
	case len(n) == 1 && n[0] == 2:
		return errOvertaken
	case len(n) != 2+6*len(parts) || n[0] != 1:
		return fmt.Errorf("an answer of %d numbers to a call of %d limits", len(n), len(parts))
	}
	for i := range parts {
		a := n[2+6*i:]
		p := &parts[i]
		p.fits, p.extra, p.level, p.retry, p.short, p.born = a[0] == 1, a[1], a[2], a[3], a[4] == 1, a[5]
	}
	return nil
}
