package compress

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of what a Compressor has done since it was made. A response counts
// once in Responses; one that is not encoded counts once in Skipped too, under the reason
// that decided, unless an encoder failed.
type Stats struct {
	Responses map[string]uint64 `metric:"hotpath_compress_responses_total" label:"coding" help:"Responses, by content coding; identity: not encoded here."`
	Skipped   map[string]uint64 `metric:"hotpath_compress_skipped_total" label:"reason" help:"Responses not encoded here, by reason."`
	InBytes   map[string]uint64 `metric:"hotpath_compress_in_bytes_total" label:"coding" help:"Plain bytes of encoded bodies."`
	OutBytes  map[string]uint64 `metric:"hotpath_compress_out_bytes_total" label:"coding" help:"Coded bytes sent."`
	Stored    uint64            `metric:"hotpath_compress_stored_total" help:"Responses answered from a kept form: no encoder ran."`
	Failed    uint64            `metric:"hotpath_compress_encoder_failures_total" help:"Encoders that failed or could not be made."`
	Aborted   uint64            `metric:"hotpath_compress_aborted_total" help:"Responses cut after their coded body had begun."` // panics, short bodies, failed encoders
	Encodes   map[string]uint64 `metric:"hotpath_compress_encodes_total" label:"kind" help:"Encoder runs: whole bodies, forms of stored bodies, streams."`

	Encoders int64 `metric:"hotpath_compress_encoders_in_use" help:"Encoders that streamed bodies hold."`
	Streams  int64 `metric:"hotpath_compress_event_streams" help:"Encoded event streams that are open."`

	EncodeTime time.Duration `metric:"hotpath_compress_encode_seconds_total" help:"Time in encoders for whole bodies and forms."` // no waiting in it
}

type counters struct {
	responses, inBytes, outBytes   [maxCodings]atomic.Uint64
	skipped                        [reasons]atomic.Uint64
	stored, failed, aborted        atomic.Uint64
	wholes, forms, streamed, nanos atomic.Uint64
}

// Stats returns the counters. It may be called at any rate.
func (c *Compressor) Stats() Stats {
	s := Stats{
		Responses: make(map[string]uint64, len(c.codings)+1),
		Skipped:   make(map[string]uint64, reasons),
		InBytes:   make(map[string]uint64, len(c.codings)),
		OutBytes:  make(map[string]uint64, len(c.codings)),
		Encodes:   make(map[string]uint64, 3),
		Encoders:  c.encoders.Load(),
		Streams:   c.streams.Load(),
	}
	var nanos uint64
	for n := range c.counters.Each() {
		for i := range n.skipped {
			s.Responses["identity"] += n.skipped[i].Load()
		}
		for i, own := range c.codings {
			s.Responses[own.token] += n.responses[i].Load()
			s.InBytes[own.token] += n.inBytes[i].Load()
			s.OutBytes[own.token] += n.outBytes[i].Load()
		}
		for i, name := range reasonNames {
			s.Skipped[name] += n.skipped[i].Load()
		}
		s.Stored += n.stored.Load()
		s.Failed += n.failed.Load()
		s.Aborted += n.aborted.Load()
		s.Encodes["whole"] += n.wholes.Load()
		s.Encodes["form"] += n.forms.Load()
		s.Encodes["stream"] += n.streamed.Load()
		nanos += n.nanos.Load()
	}
	s.EncodeTime = time.Duration(nanos)
	return s
}
