package cache

import "time"

// sweptPerSet is how many places a Set looks at for garbage, while there may be any: each is a
// cache miss.
const sweptPerSet = 8

// A broom goes round the places of a shard's table. It rests until something can have died.
type broom struct {
	at      int           // the place that was looked at last
	soonest time.Duration // nothing dies before
	next    time.Duration // the same for what this round has seen, or what came in during it
}

// note is told when an entry that comes in will die.
func (b *broom) note(dies time.Duration) {
	b.soonest, b.next = min(b.soonest, dies), min(b.next, dies)
}

// restart begins a new round: the entries of a table that is built anew are elsewhere.
func (b *broom) restart() { b.at, b.next = 0, min(b.next, b.soonest) }

// sweep looks at the next places for garbage and takes it away, so that what has expired
// together gives its memory back under whatever traffic there is.
func (sh *shard[K, V]) sweep(t time.Duration) (weight, items int64) {
	b := &sh.broom
	for range sweptPerSet {
		if t < b.soonest || b.soonest == forever {
			return weight, items
		}
		groups := sh.table.Load().groups // a removal may have made it smaller
		if b.at++; b.at >= len(groups)*groupSize {
			b.at, b.soonest, b.next = 0, b.next, forever
		}
		e := groups[b.at/groupSize].entry[b.at%groupSize].Load()
		switch {
		case e == nil:
		case e.garbageAt(t):
			sh.remove(e)
			weight, items = weight+e.Weight(), items+1
		default:
			b.next = min(b.next, e.dies())
		}
	}
	return weight, items
}
