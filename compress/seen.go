package compress

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// seen remembers what the field values that came first mean: browsers spell Accept-Encoding
// in a handful of ways, and handlers Content-Type. A place is filled once, so that who sends
// a new value each time fills it with rubbish and costs what everybody would cost without it.
type seen[M any] struct {
	seed   maphash.Seed
	places [64]atomic.Pointer[meaning[M]]
}

type meaning[M any] struct {
	value string
	means M
}

// maxSeen is the longest value that is kept: those of browsers have 30 bytes.
const maxSeen = 128

// of returns what value means, which read finds out.
func (s *seen[M]) of(value string, read func(value string) M) M {
	if len(value) > maxSeen {
		return read(value)
	}
	place := &s.places[maphash.String(s.seed, value)%uint64(len(s.places))]
	known := place.Load()
	if known != nil && known.value == value {
		return known.means
	}
	means := read(value)
	if known == nil {
		place.CompareAndSwap(nil, &meaning[M]{strings.Clone(value), means}) // not the request's own memory
	}
	return means
}
