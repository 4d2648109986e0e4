package cache

// A sketch remembers how often keys were used, approximately, also those that are not here: a
// count-min sketch of 4-bit counters (Cormode and Muthukrishnan, 2005), one for a key in each of
// four rows. All four in one word cost a cache miss less and 0.2 points of the hit ratio. It is
// touched by misses and evictions only, and does not exist before the first eviction.
type sketch struct {
	words []uint64 // a power of two, or none; sixteen counters each, a quarter for each row
	keys  int      // that are here
	added int      // since the counters were halved
}

const (
	perKey      = 4 // rows
	counterBits = 4
	counterMax  = 1<<counterBits - 1
	resetPerKey = 8 // additions for each key, after which the past is halved; 6 and 14 lose a point of the traces in bench
)

func (s *sketch) begin(keys int) {
	words := 64
	for words < keys {
		words *= 2
	}
	s.words, s.keys, s.added = make([]uint64, words), words, 0
}

// locate returns the words and shifts of a hash's counters: one in each quarter of the sketch.
func (s *sketch) locate(hash uint64) (at [perKey]uint32, shift [perKey]uint8) {
	row := uint64(len(s.words) / perKey)
	for i := range at {
		hash *= 0x9E3779B97F4A7C15 // the table has used the same bits: spread them anew, for each row
		h := hash >> 24
		at[i] = uint32(uint64(i)*row + h>>4&(row-1))
		shift[i] = uint8(h & 15 * counterBits)
		hash ^= hash >> 32
	}
	return at, shift
}

// add counts n uses.
func (s *sketch) add(hash uint64, n int) {
	if s.words == nil {
		return
	}
	at, shift := s.locate(hash)
	for i := range at {
		word := &s.words[at[i]]
		old := *word >> shift[i] & counterMax
		*word += (min(old+uint64(n), counterMax) - old) << shift[i]
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
	at, shift := s.locate(hash)
	least := uint64(counterMax)
	for i := range at {
		least = min(least, s.words[at[i]]>>shift[i]&counterMax)
	}
	return int(least)
}
