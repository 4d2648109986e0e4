package batch

import (
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// Stats is a snapshot of what an Endpoint has done since it was made.
type Stats struct {
	Requests map[string]uint64 `metric:"hotpath_batch_requests_total" label:"outcome" help:"Batches, by outcome: json, malformed, too_large, unsupported."`
	Parts    map[string]uint64 `metric:"hotpath_batch_parts_total" label:"outcome" help:"Parts, by the status that their handler gave (2xx to 5xx), or why it gave none: refused, nested, dependent, throttled, timeout, panic, overflow."`
	Running  int64             `metric:"hotpath_batch_parts_running" help:"Handlers of parts that run now, with those left behind by PartTimeout."`
	PartsPer stat.Histogram    `metric:"hotpath_batch_parts_per_request" help:"Parts per batch."`
	Seconds  stat.Histogram    `metric:"hotpath_batch_request_seconds" help:"How long batches took."`
	Bytes    map[string]uint64 `metric:"hotpath_batch_bytes_total" label:"direction" help:"Bytes of envelopes (in) and of their answers (out)."`
}

// A result is what became of a batch.
type result uint8

const (
	asJSON result = iota
	malformed
	tooLarge
	unsupported
)

var results = [...]string{asJSON: "json", malformed: "malformed", tooLarge: "too_large", unsupported: "unsupported"}

// An outcome is what became of a part.
type outcome uint8

const (
	status2xx outcome = iota
	status3xx
	status4xx
	status5xx
	refused
	nested
	dependent
	throttled
	timedOut
	panicked
	overflow
)

var outcomes = [...]string{
	status2xx: "2xx", status3xx: "3xx", status4xx: "4xx", status5xx: "5xx", refused: "refused", nested: "nested",
	dependent: "dependent", throttled: "throttled", timedOut: "timeout", panicked: "panic", overflow: "overflow",
}

type batchCounters struct {
	requests [len(results)]atomic.Uint64
	parts    [len(outcomes)]atomic.Uint64
	in, out  atomic.Uint64
}

type endpointCounters struct {
	counters stat.Striped[batchCounters]
	running  atomic.Int64
	sizes    stat.Sizes
	times    stat.Durations
}

// Stats returns the counters.
func (e *Endpoint) Stats() Stats {
	out := Stats{
		Requests: map[string]uint64{}, Parts: map[string]uint64{}, Bytes: map[string]uint64{},
		Running:  e.running.Load(),
		PartsPer: e.sizes.Read(),
		Seconds:  e.times.Read(),
	}
	for c := range e.counters.Each() {
		for i, name := range results {
			out.Requests[name] += c.requests[i].Load()
		}
		for i, name := range outcomes {
			out.Parts[name] += c.parts[i].Load()
		}
		out.Bytes["in"] += c.in.Load()
		out.Bytes["out"] += c.out.Load()
	}
	return out
}
