package throttle

// A charge is what one policy has to do with one decision. It lives on the stack.
type charge struct {
	p    *policy
	fp   uint64
	cost int64  // tokens
	debt uint64 // the same in units
	lent int64  // tokens that the envelope had paid, not in cost

	ruling ruling
	at     *slot  // where the record stands; nil: there is none
	seen   uint64 // its word
	now    uint64 // units, of the reading that was judged by
	ahead  uint64 // what was owed then
	wait   uint64 // units until the charge is due, or until there is room
	word   uint64 // what was written

	claim *claim // on a bucket that a Remote keeps; nil: it is kept here
}

// A ruling is the outcome of a decision, or of one policy's part in it. From never on it does
// not depend on the bucket.
type ruling uint8

const (
	passes  ruling = iota
	over           // the limit
	full           // no room for the key
	never          // more than a bucket holds
	unkeyed        // nobody to charge, or no policy that applies
	invalid        // negative cost
	exempt
	down   // the Remote, and OnDown says no
	waived // the Remote is down, and OnDown lets everybody in
)

func (c *charge) setCost(n int64) {
	if c.claim != nil {
		c.claim.cost = n
	}
	var ok bool
	if c.debt, ok = c.p.law.debt(n); !ok {
		c.ruling, c.debt, n = never, 0, 0
	}
	c.cost = n
}

// find looks for the record. The clock is read after that: to an older reading a record that was written
// in between would owe more than it does, and the last token of a bucket would not be there.
func (c *charge) find() { c.at, c.seen = c.p.table.find(c.fp) }

// judge says, by what find has found, whether the charge may be made at now, or is due within
// patience, both in units. It writes nothing. Taking nothing is always allowed.
func (c *charge) judge(now, patience uint64) bool {
	law := &c.p.law
	c.now, c.ahead, c.wait = now, 0, 0
	if c.at != nil {
		c.ahead = law.ahead(c.seen, now)
	}
	if c.ruling >= never {
		return false
	}
	c.ruling = passes
	if after := c.ahead + c.debt; after > law.tau && c.debt > 0 {
		if c.wait = after - law.tau; c.wait > patience {
			c.ruling = over
		}
	}
	return c.ruling == passes
}

// look judges by what the record says now.
func (c *charge) look(clock *clock, patience uint64) bool {
	c.find()
	return c.judge(clock.units(&c.p.law), patience)
}

// take makes a charge that was judged, unless others were faster and it is now more than
// patience away.
func (c *charge) take(clock *clock, patience uint64) bool {
	for c.debt > 0 {
		if c.at != nil {
			c.word = add(c.now, c.ahead+c.debt)
			if c.at.word.CompareAndSwap(c.seen, c.word) {
				return true
			}
		} else {
			made := c.p.table.insert(c.fp, clock, c.debt)
			switch {
			case made.full:
				c.ruling, c.wait = full, made.wait
				return false
			case made.forgotten:
				c.p.counts.Here().forgotten.Add(1)
			}
			if !made.found {
				c.at, c.word = made.at, made.word
				return true
			}
		}
		if !c.look(clock, patience) {
			return false
		}
	}
	return true
}

// giveBack undoes take, as far as the charge is still owed: what has flowed in since would be
// given twice. What others reserved behind this charge they sleep for: given back under them it
// would let two through at one moment (golang/go#56924), so then it lapses.
func (c *charge) giveBack(clock *clock) {
	law := &c.p.law
	for c.debt > 0 {
		at, v := c.p.table.find(c.fp)
		if at == nil {
			return
		}
		now := clock.units(law)
		ahead, owed := law.ahead(v, now), min(c.debt, law.ahead(c.word, now))
		if owed == 0 || ahead < owed || ahead > law.tau && v != c.word {
			return
		}
		if at.word.CompareAndSwap(v, v-owed) {
			return
		}
	}
}

// refund lowers the debt of fp by n tokens, never below a full bucket.
func (p *policy) refund(fp uint64, clock *clock, n int64) {
	units := uint64(min(n, 4*p.law.burst)) * p.law.token // no record can owe more than half of that and an hour
	for n > 0 {
		at, v := p.table.find(fp)
		if at == nil {
			return
		}
		now := clock.units(&p.law)
		ahead := p.law.ahead(v, now)
		if ahead == 0 {
			return
		}
		if at.word.CompareAndSwap(v, add(now, ahead-min(units, ahead))) {
			return
		}
	}
}

// force takes n tokens whatever is left, down to -Burst, and returns how many it could take:
// one mistake must not lock a client out for a day.
func (p *policy) force(fp uint64, clock *clock, n int64) int64 {
	law := &p.law
	for n > 0 {
		at, v := p.table.find(fp)
		if at == nil {
			taken := min(n, 2*law.burst)
			made := p.table.insert(fp, clock, uint64(taken)*law.token)
			switch {
			case made.found:
				continue
			case made.full:
				return 0
			case made.forgotten:
				p.counts.Here().forgotten.Add(1)
			}
			return taken
		}
		now := clock.units(law)
		ahead := law.ahead(v, now)
		if ahead >= 2*law.tau {
			return 0
		}
		taken := min(n, law.whole(2*law.tau-ahead))
		if taken == 0 || at.word.CompareAndSwap(v, add(now, ahead+uint64(taken)*law.token)) {
			return taken
		}
	}
	return 0
}
