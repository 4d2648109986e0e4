package partial

import "sync/atomic"

// Stats is a snapshot of what a Filter has done since it was made. Each request counts once.
type Stats struct {
	Plain     uint64 `metric:"hotpath_partial_requests_total,outcome=plain" help:"Requests, by what became of the answer."` // no mask
	Filtered  uint64 `metric:"hotpath_partial_requests_total,outcome=filtered"`                                             // bytes cut
	Projected uint64 `metric:"hotpath_partial_requests_total,outcome=projected"`                                            // WriteJSON wrote it cut
	Untouched uint64 `metric:"hotpath_partial_requests_total,outcome=untouched"`                                            // masked, but not to be cut
	Broken    uint64 `metric:"hotpath_partial_requests_total,outcome=broken"`                                               // not JSON, sent as it came
	Aborted   uint64 `metric:"hotpath_partial_requests_total,outcome=aborted"`                                              // a fault after the first byte, or a panic
	Refused   uint64 `metric:"hotpath_partial_requests_total,outcome=refused"`                                              // 400

	InBytes  uint64 `metric:"hotpath_partial_in_bytes_total" help:"Bytes read by the filter."`
	OutBytes uint64 `metric:"hotpath_partial_out_bytes_total" help:"Body bytes sent under a mask."` // by filter and WriteJSON
}

// An outcome is what became of a request.
type outcome uint8

const (
	aborted outcome = iota // until another is known
	plain
	filtered
	projected
	untouched
	broken
	refused
	outcomes
)

type counters struct {
	requests          [outcomes]atomic.Uint64
	inBytes, outBytes atomic.Uint64
}

func (f *Filter) count(o outcome) { f.counters.Here().requests[o].Add(1) }

// Stats returns the counters. It may be called at any rate.
func (f *Filter) Stats() (s Stats) {
	for n := range f.counters.Each() {
		s.Plain += n.requests[plain].Load()
		s.Filtered += n.requests[filtered].Load()
		s.Projected += n.requests[projected].Load()
		s.Untouched += n.requests[untouched].Load()
		s.Broken += n.requests[broken].Load()
		s.Aborted += n.requests[aborted].Load()
		s.Refused += n.requests[refused].Load()
		s.InBytes += n.inBytes.Load()
		s.OutBytes += n.outBytes.Load()
	}
	return s
}
