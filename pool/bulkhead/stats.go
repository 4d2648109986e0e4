package bulkhead

import "github.com/hotpath-go/hotpath/internal/stat"

// Stats is a snapshot of what a Bulkhead has done since it was made. Every request and Acquire
// ends in exactly one outcome.
type Stats struct {
	Requests       map[string]uint64 `metric:"hotpath_bulkhead_requests_total" label:"outcome" help:"Requests, by how they ended."`   // served exempt refused left panicked
	Refused        map[string]uint64 `metric:"hotpath_bulkhead_refused_total" label:"reason" help:"Requests refused, by reason."`     // full expired hopeless
	Started        map[string]uint64 `metric:"hotpath_bulkhead_started_total" label:"priority" help:"Handlers started, by priority."` // urgent normal low idle
	Waiting        map[string]int64  `metric:"hotpath_bulkhead_waiting" label:"priority" help:"Requests that wait for a slot."`       // the same
	InFlight       int64             `metric:"hotpath_bulkhead_in_flight" help:"Slots in use."`
	Limit          int64             `metric:"hotpath_bulkhead_limit" help:"Slots in force now."`
	LongLived      int64             `metric:"hotpath_bulkhead_long_lived" help:"Hijacked connections and event streams whose handler runs on without a slot."`
	BufferBytes    int64             `metric:"hotpath_bulkhead_buffer_bytes" help:"Bytes of responses that are kept."`
	LimitChanges   map[string]uint64 `metric:"hotpath_bulkhead_limit_changes_total" label:"why" help:"Changes of the limit, by why."`  // grew fell returned absolved
	Unbuffered     map[string]uint64 `metric:"hotpath_bulkhead_unbuffered_total" label:"reason" help:"Responses not kept, by reason."` // flush large budget hijack
	QueueSeconds   stat.Histogram    `metric:"hotpath_bulkhead_queue_seconds" help:"Time that requests waited, of those that had to."`
	ServiceSeconds stat.Histogram    `metric:"hotpath_bulkhead_service_seconds" help:"Time in handlers."`
}

const (
	flushed = iota
	tooLarge
	noBudget
	hijacked
	reasons
)

var reasonNames = [...]string{"flush", "large", "budget", "hijack"}

// tally is guarded by Bulkhead.mu.
type tally struct {
	served, exempt, left, panicked uint64
	overfull, expired, hopeless    uint64
	started                        [levels]uint64
	unbuffered                     [reasons]uint64
}

// Stats returns the counters. It may be called at any rate.
func (b *Bulkhead) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{
		Requests: map[string]uint64{
			"served": b.served, "exempt": b.exempt, "refused": b.overfull + b.expired + b.hopeless, "left": b.left, "panicked": b.panicked,
		},
		Refused:      map[string]uint64{"full": b.overfull, "expired": b.expired, "hopeless": b.hopeless},
		Started:      make(map[string]uint64, levels),
		Waiting:      make(map[string]int64, levels),
		Unbuffered:   make(map[string]uint64, reasons),
		InFlight:     int64(b.inFlight),
		Limit:        int64(b.inForce()),
		LongLived:    b.longLived.Load(),
		BufferBytes:  b.kept.Load(),
		LimitChanges: map[string]uint64{"grew": b.grew, "fell": b.fell, "returned": b.returned, "absolved": b.absolved},
		QueueSeconds: b.queued.Read(), ServiceSeconds: b.service.Read(),
	}
	for i, name := range levelNames {
		s.Started[name], s.Waiting[name] = b.started[i], int64(b.levels[i].n)
	}
	for i, name := range reasonNames {
		s.Unbuffered[name] = b.unbuffered[i]
	}
	return s
}
