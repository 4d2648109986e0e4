package cache

// A sketch remembers how often keys were used, approximately, also those that are not here: a
// count-min sketch of 4-bit counters (Cormode and Muthukrishnan, 2005), four for a key, all in one
// word, so that it costs one cache miss. It is touched by misses and evictions only, and does not
// exist before the first eviction.
type sketch struct {
	words []uint64 // a power of two, or none; sixteen counters each
	keys  int      // that are here
	added int      // since the counters were halved
}

const (
	perKey      = 4
	counterBits = 4
	counterMax  = 1<<counterBits - 1
	resetPerKey = 10 // additions for each key, after which the past is halved
)

func (s *sketch) begin(keys int) {
	words := 64
	for words < keys {
		words *= 2
	}
	s.words, s.keys, s.added = make([]uint64, words), words, 0
}

// locate returns the word of a hash and the shifts of its counters in it, one in each quarter.
func (s *sketch) locate(hash uint64) (word *uint64, shifts [perKey]uint64) {
	hash *= 0x9E3779B97F4A7C15 // the table has used the same bits: spread them anew
	for i := range shifts {
		shifts[i] = (uint64(i)*perKey + hash>>(2*i)&(perKey-1)) * counterBits
	}
	return &s.words[hash>>32&uint64(len(s.words)-1)], shifts
}

// add counts n uses.
func (s *sketch) add(hash uint64, n int) {
	if s.words == nil {
		return
	}
	word, shifts := s.locate(hash)
	for _, shift := range shifts {
		old := *word >> shift & counterMax
		*word += (min(old+uint64(n), counterMax) - old) << shift
	}
	if s.added += n; s.added >= resetPerKey*s.keys {
		s.halve()
	}
}

func (s *sketch) halve() {
	const lowThree = 0x7777777777777777
	for i, word := range s.words {
		s.words[i] = word >> 1 & lowThree
	}
	s.added /= 2
}

// estimate returns how often a key was used: seldom too little, sometimes too much.
func (s *sketch) estimate(hash uint64) int {
	word, shifts := s.locate(hash)
	least := uint64(counterMax)
	for _, shift := range shifts {
		least = min(least, *word>>shift&counterMax)
	}
	return int(least)
}
