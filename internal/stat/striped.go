package stat

import (
	"iter"
	"unsafe"
)

const (
	stripeBits = 3
	stripes    = 1 << stripeBits
)

// Striped is a set of counters, T, kept eight times, so that goroutines that count at the
// same time seldom share a cache line. T is a struct of atomic.Uint64 whose sums over all
// stripes mean something; a gauge must be one atomic of its own, for a difference of
// stripes that are read at different times can be wrong. The zero value is ready to use.
type Striped[T any] struct {
	stripe [stripes]struct {
		counters T
		// Two cache lines: processors fetch lines in pairs, and some have lines of 128 bytes.
		_ [128]byte
	}
}

// Here returns the stripe of the calling goroutine. Pick once per request, then add to
// several counters: they lie side by side.
func (s *Striped[T]) Here() *T {
	var here byte
	// The address of a local variable tells goroutines apart, for each has its own stack. It
	// is only a hint: a stack that moves, or a call from another depth, just counts elsewhere.
	// Two calls differ by goroutine in the bits above a small stack's 2 KiB; the multiplication
	// (2^64 divided by the golden ratio) spreads them over the top bits.
	hash := uint64(uintptr(unsafe.Pointer(&here))>>11) * 0x9E3779B97F4A7C15
	return &s.stripe[hash>>(64-stripeBits)].counters
}

// Each yields every stripe, for adding up.
func (s *Striped[T]) Each() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range s.stripe {
			if !yield(&s.stripe[i].counters) {
				return
			}
		}
	}
}
