package throttle

import (
	"math"
	"math/bits"
	"time"
)

// What is known here of a key whose bucket is kept by a Remote is one word in a table of its
// own: until when it holds, in 46 bits of 1,024 ns; 12 bits of tokens; 4 of the lease's size; 2
// of what it is. With the time on top the word is ordered by it, so that a table's slots expire
// as buckets do. No word's time is set back while a slot has its owner, but by who alone may
// change it.
//
// A shield keeps something else in the 16 bits in between: how long after it the next token is
// due, for it ends after a second.
type leaseKind uint8

const (
	leased   leaseKind = iota // tokens taken ahead
	renewing                  // one caller asks the Remote for more
	shielded                  // nothing was left
)

const (
	leaseUnit  = 256 // units of such a word in a nanosecond
	leaseIdle  = leaseUnit * 3 * int64(maxNap)
	leaseLow   = 1<<18 - 1
	tokenShift = 6
	tokenMask  = 1<<12 - 1
	levelShift = 2
	levelMask  = 1<<4 - 1
	maxLevel   = 12 // a lease of level k is 2^k - 1 tokens: 0 to 4,095
)

// newLeases makes the table; what lies further ahead than a shield and a budget lies in the past.
func newLeases(capacity int) *table {
	t := newTable(law{unit: leaseUnit, idle: uint64(leaseIdle)}, capacity, false)
	t.low = leaseLow
	return t
}

func leaseWord(until int64, tokens int64, level int, kind leaseKind) uint64 {
	return uint64(until)*leaseUnit&^leaseLow | uint64(tokens)<<tokenShift | uint64(level)<<levelShift | uint64(kind)
}

func wordKind(v uint64) leaseKind { return leaseKind(v & (1<<levelShift - 1)) }
func wordTokens(v uint64) int64   { return int64(v >> tokenShift & tokenMask) }
func wordLevel(v uint64) int      { return int(v >> levelShift & levelMask) }

// wordUntil is the moment of a word, as seen at now: the 46 bits come round in 833 days.
func wordUntil(v uint64, now int64) int64 {
	left := int64(v&^leaseLow - uint64(now)*leaseUnit)
	if left > leaseIdle { // it was more than a year ago
		left = math.MinInt64
	}
	return now + left/leaseUnit
}

func leaseSize(level int) int64 { return 1<<level - 1 }

// shieldWord is a shield until a moment, for a token that is due some time after it. That is kept
// as 11 bits and an exponent of 5, in ms: up to 1/1024 too long.
func shieldWord(until int64, after time.Duration) uint64 {
	ms := uint64((after + time.Millisecond - 1) / time.Millisecond)
	shift := max(bits.Len64(ms)-11, 0)
	if ms = (ms + 1<<shift - 1) >> shift; ms == 1<<11 {
		ms, shift = ms>>1, shift+1
	}
	return uint64(until)*leaseUnit&^leaseLow | (uint64(shift)<<11|ms)<<levelShift | uint64(shielded)
}

// wordDue is when the next token is due behind a shield.
func wordDue(v uint64, now int64) int64 {
	x := v & leaseLow >> levelShift
	return wordUntil(v, now) + int64(x&(1<<11-1)<<(x>>11))*int64(time.Millisecond)
}

// holding is what the lease of fp holds at now, and the moment of a shield's next token.
func (p *policy) holding(fp uint64, now int64) (tokens, due int64) {
	at, v := p.leases.find(fp)
	if at == nil || wordUntil(v, now) <= now {
		return 0, 0
	}
	switch wordKind(v) {
	case leased:
		return wordTokens(v), 0
	case shielded:
		return 0, wordDue(v, now)
	}
	return 0, 0
}

// pay takes n tokens out of a lease that has them, and returns what is left, and until when. The clock
// is read after the word: by an older reading a lease that has come and gone in between would still pay.
func (p *policy) pay(fp uint64, clock *clock, n int64) (left, until int64, ok bool) {
	for {
		at, v := p.leases.find(fp)
		if at == nil || wordKind(v) != leased || wordTokens(v) < n {
			return 0, 0, false
		}
		now := clock.now()
		if until = wordUntil(v, now); until <= now {
			return 0, 0, false
		}
		if at.word.CompareAndSwap(v, v-uint64(n)<<tokenShift) {
			return wordTokens(v) - n, until, true
		}
	}
}

// payBack puts n tokens back into the lease that they are of, if it holds: else they lapse. In a later
// lease they would be held for longer than a lease may be.
func (p *policy) payBack(fp uint64, now, until, n int64) bool {
	for {
		at, v := p.leases.find(fp)
		if at == nil || wordKind(v) != leased || wordTokens(v)+n > tokenMask || wordUntil(v, now) != until || until <= now {
			return false
		}
		if at.word.CompareAndSwap(v, v+uint64(n)<<tokenShift) {
			return true
		}
	}
}

// A renewal is the right of one caller to ask for a key's next lease.
type renewal struct {
	at    *slot // nil: somebody else has it
	word  uint64
	level int
	was   int   // the level before
	rest  int64 // of the lease before: tokens to give back
}

// renew begins a renewal, unless one is under way or the key is shielded. It holds for two
// budgets, so that a caller who is lost does not hold it for ever.
func (l *core) renew(s *state, p *policy, fp uint64) (r renewal) {
	for {
		at, v := p.leases.find(fp)
		if at == nil {
			made := p.leases.insert(fp, &l.clock, leaseWord(2*int64(s.cfg.Budget), 0, 0, renewing))
			if made.found {
				continue
			}
			return renewal{at: made.at, word: made.word}
		}
		now := l.clock.now()
		until, hold := wordUntil(v, now), now+2*int64(s.cfg.Budget)
		if wordKind(v) != leased && until > now {
			return renewal{}
		}
		r = renewal{at: at}
		if wordKind(v) == leased {
			r.was = wordLevel(v)
			r.level = nextLevel(v, now, s.cfg.Lease)
			r.rest = p.unspent(v, now, s)
		}
		if r.word = leaseWord(max(hold, until), 0, r.level, renewing); at.word.CompareAndSwap(v, r.word) {
			return r
		}
	}
}

// nextLevel doubles a lease that was used up in time, and halves one that was not, once more for
// each lease's time that the key was quiet.
func nextLevel(v uint64, now int64, lease time.Duration) int {
	level, late := wordLevel(v), now-wordUntil(v, now)
	if late < 0 {
		return min(level+1, maxLevel)
	}
	quiet := late / int64(lease)
	if wordTokens(v) > 0 {
		quiet++
	}
	return int(max(int64(level)-quiet, 0))
}

// unspent is how much of a lease may be given back. The bucket may have been full since, but for
// these tokens: what has flowed in since then would be given twice.
func (p *policy) unspent(v uint64, now int64, s *state) int64 {
	tokens := wordTokens(v)
	if tokens == 0 {
		return 0
	}
	age := time.Duration(now-wordUntil(v, now)) + s.cfg.Lease + s.cfg.Budget + 1024
	flowed := (p.law.span(min(age, maxNap)) + p.law.token - 1) / p.law.token
	return max(tokens-int64(min(flowed, tokenMask)), 0)
}

// finish ends a renewal. If it took too long somebody else has the slot, and the word lapses.
func (r *renewal) finish(word uint64) {
	if r.at != nil {
		r.at.word.CompareAndSwap(r.word, word)
	}
}

// shield refuses fp until a token is due, a second at most. A lease that holds something, and a
// renewal of somebody else, stay.
func (l *core) shield(p *policy, fp uint64, r *renewal, now int64, due time.Duration) {
	ends := min(due, maxShield)
	word := shieldWord(now+int64(ends), due-ends)
	if r.at != nil {
		r.finish(word)
		return
	}
	for {
		at, v := p.leases.find(fp)
		if at == nil {
			// By the time that insert reads; the moment of the shield is put in next.
			p.leases.insert(fp, &l.clock, leaseWord(int64(time.Microsecond)*2, 0, 0, leased))
			continue
		}
		if wordUntil(v, now) >= wordUntil(word, now) || wordUntil(v, now) > now && (wordKind(v) == renewing || wordTokens(v) > 0) {
			return
		}
		if at.word.CompareAndSwap(v, word) {
			return
		}
	}
}

// unshield lets fp ask again.
func (p *policy) unshield(fp uint64) {
	for {
		at, v := p.leases.find(fp)
		if at == nil || wordKind(v) != shielded {
			return
		}
		if at.word.CompareAndSwap(v, v&^leaseLow) { // a lease that holds nothing
			return
		}
	}
}
