package batch

import (
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// LoaderStats is a snapshot of what a Loader has done since it was made. Queries saved are
// remembered + joined + keys - fetches.
type LoaderStats struct {
	Loads        map[string]uint64 `metric:"hotpath_batch_loader_loads_total" label:"result" help:"Keys asked for, by where the answer came from: remembered, joined, fetched."`
	Fetches      map[string]uint64 `metric:"hotpath_batch_loader_fetches_total" label:"reason" help:"Fetches, by why they left: quiet, full, waited, unscoped."`
	Keys         map[string]uint64 `metric:"hotpath_batch_loader_keys_total" label:"result" help:"Keys of fetches, by result: found, missing, failed, panicked, left, unasked."`
	InFlight     int64             `metric:"hotpath_batch_loader_fetches_in_flight" help:"Fetches that run now."`
	BatchKeys    stat.Histogram    `metric:"hotpath_batch_loader_keys_per_fetch" help:"Keys per fetch."`
	FetchSeconds stat.Histogram    `metric:"hotpath_batch_loader_fetch_seconds" help:"How long fetches took."`
	WaitSeconds  stat.Histogram    `metric:"hotpath_batch_loader_wait_seconds" help:"From the first key of a batch to its departure."`
}

var reasons = [...]string{quietBatch: "quiet", fullBatch: "full", waitedBatch: "waited", unscopedBatch: "unscoped"}

type loadCounters struct {
	remembered, joined, fetched                     atomic.Uint64
	fetches                                         [len(reasons)]atomic.Uint64
	found, missing, failed, panicked, left, unasked atomic.Uint64
}

type loaderCounters struct {
	counters stat.Striped[loadCounters]
	inFlight atomic.Int64
	sizes    stat.Sizes
	times    stat.Durations
	waits    stat.Durations
}

// Stats returns the counters.
func (l *Loader[K, V]) Stats() LoaderStats {
	out := LoaderStats{
		Loads: map[string]uint64{}, Fetches: map[string]uint64{}, Keys: map[string]uint64{},
		InFlight:     l.inFlight.Load(),
		BatchKeys:    l.sizes.Read(),
		FetchSeconds: l.times.Read(),
		WaitSeconds:  l.waits.Read(),
	}
	for c := range l.counters.Each() {
		out.Loads["remembered"] += c.remembered.Load()
		out.Loads["joined"] += c.joined.Load()
		out.Loads["fetched"] += c.fetched.Load()
		for why, name := range reasons {
			out.Fetches[name] += c.fetches[why].Load()
		}
		out.Keys["found"] += c.found.Load()
		out.Keys["missing"] += c.missing.Load()
		out.Keys["failed"] += c.failed.Load()
		out.Keys["panicked"] += c.panicked.Load()
		out.Keys["left"] += c.left.Load()
		out.Keys["unasked"] += c.unasked.Load()
	}
	return out
}
