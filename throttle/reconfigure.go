package throttle

import "math/bits"

// Reconfigure makes l what New(cfg) would make, and keeps what is owed: policies are matched by
// name, debt in tokens. So a higher limit helps at once, and a lower one leaves nobody with more
// debt than the new Burst. New policies start full, removed ones vanish, unchanged ones keep
// their table. A call in flight may be decided by the old limit and forgotten by the new. To a
// Remote that is new nothing moves: its buckets are as they are. After an error, the same as New's,
// nothing has changed.
func (l *Limiter) Reconfigure(cfg Config) error {
	whole, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	before := l.state.Load()
	after := newState(cfg, whole, before)

	var moves []*move
	for _, p := range after.policies {
		if old := before.policy(p.Name); old != nil && old.here().table != p.here().table {
			moves = append(moves, newMove(old.here(), p.here(), &l.clock))
		}
	}
	for _, m := range moves {
		m.pass()
	}
	l.state.Store(after)
	for _, m := range moves {
		m.pass() // what was taken meanwhile
	}
	return nil
}

// A move brings the records of a policy into its new table. Fingerprints are whole hashes, so a
// table of any size can take them.
type move struct {
	from, to *policy
	clock    *clock
	moved    map[uint64]uint64 // by fingerprint: the word that was moved
}

func newMove(from, to *policy, clock *clock) *move {
	return &move{from, to, clock, map[uint64]uint64{}}
}

// pass adds to the new records what the old ones owe, less what was moved before.
func (m *move) pass() {
	law := &m.from.law
	for i := range m.from.table.sets {
		s := &m.from.table.sets[i]
		for j := range s {
			fp, v := s[j].fp.Load(), s[j].word.Load()
			now := m.clock.units(law)
			owes := law.ahead(v, now)
			if v == claimed || fp == 0 || owes == 0 || s[j].fp.Load() != fp {
				continue
			}
			if before, ok := m.moved[fp]; ok {
				if more := v - before; more < owes {
					owes = more
				} else if before-v <= law.idle {
					continue // given back meanwhile
				}
			}
			if owes > 0 {
				m.moved[fp] = v
				m.to.owe(fp, m.clock, law.convert(owes, &m.to.law))
			}
		}
	}
}

// convert is x units of l in those of to that are as many tokens, rounded up.
func (l *law) convert(x uint64, to *law) uint64 {
	hi, lo := bits.Mul64(x, to.token)
	lo, carry := bits.Add64(lo, l.token-1, 0)
	if hi += carry; hi >= l.token {
		return to.tau
	}
	q, _ := bits.Div64(hi, lo, l.token)
	return min(q, to.tau)
}

// owe adds units to the debt of fp, up to Burst.
func (p *policy) owe(fp uint64, clock *clock, units uint64) {
	for {
		at, v := p.table.find(fp)
		if at == nil {
			made := p.table.insert(fp, clock, units)
			if made.found {
				continue
			}
			if made.forgotten || made.full {
				p.counts.Here().forgotten.Add(1)
			}
			return
		}
		now := clock.units(&p.law)
		ahead := p.law.ahead(v, now)
		if ahead >= p.law.tau || at.word.CompareAndSwap(v, add(now, min(ahead+units, p.law.tau))) {
			return
		}
	}
}
