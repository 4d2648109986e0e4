package cache

import (
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// Stats is a snapshot of what a Cache has done since it was made. Every Get, and every key of
// a GetMany, ends in exactly one of the first five.
type Stats struct {
	Hits      uint64 `metric:"hotpath_cache_requests_total,outcome=hit" help:"Lookups, by how they were answered."`
	Stale     uint64 `metric:"hotpath_cache_requests_total,outcome=stale"`     // by an old value, while or because it could not be loaded
	Misses    uint64 `metric:"hotpath_cache_requests_total,outcome=miss"`      // this caller started a load, or there is none to start
	Coalesced uint64 `metric:"hotpath_cache_requests_total,outcome=coalesced"` // waited for the load of another
	Negative  uint64 `metric:"hotpath_cache_requests_total,outcome=not_found"` // by a remembered ErrNotFound

	Loads        uint64 `metric:"hotpath_cache_loads_total,result=ok" help:"Keys loaded, by result."`
	LoadErrors   uint64 `metric:"hotpath_cache_loads_total,result=error"`
	LoadNotFound uint64 `metric:"hotpath_cache_loads_total,result=not_found"`
	LoadPanics   uint64 `metric:"hotpath_cache_loads_total,result=panic"`    // Goexit too
	LoadCanceled uint64 `metric:"hotpath_cache_loads_total,result=canceled"` // the last who waited has left

	Refreshes uint64 `metric:"hotpath_cache_refreshes_total" help:"Loads started behind."` // they count as loads too
	Detached  uint64 `metric:"hotpath_cache_detached_loads_total" help:"Loads whose result was not stored because something newer came."`
	NotStored uint64 `metric:"hotpath_cache_not_stored_total" help:"Values that could not be stored: too heavy, too many tags, refused."`
	Evicted   uint64 `metric:"hotpath_cache_evictions_total" help:"Entries evicted to make room."`
	Purges    uint64 `metric:"hotpath_cache_purges_total" help:"Tags purged or expired, and purges of everything."`

	RemoteHits   uint64 `metric:"hotpath_cache_remote_hits_total" help:"Misses and refreshes that took the Remote's value and loaded nothing."`
	RemoteErrors uint64 `metric:"hotpath_cache_remote_errors_total" help:"Calls of the Remote that failed."`

	Items    int64 `metric:"hotpath_cache_entries" help:"Entries in memory."`
	Bytes    int64 `metric:"hotpath_cache_bytes" help:"Memory charged to entries."`
	InFlight int64 `metric:"hotpath_cache_loads_in_flight" help:"Loads under way."`

	SavedSeconds float64        `metric:"hotpath_cache_load_seconds_saved_total" help:"Time that loads would have taken had there been no cache."` // of hits, stale and coalesced answers
	LoadSeconds  stat.Histogram `metric:"hotpath_cache_load_seconds" help:"Time of a load; one of several keys counts once."`
}

// counters lie side by side, so that a hit and what it saved are one cache line.
type counters struct {
	hits, saved, stale, misses, coalesced, negative           atomic.Uint64 // saved in nanoseconds
	loads, loadErrors, loadNotFound, loadPanics, loadCanceled atomic.Uint64
	refreshes, detached, notStored, purges                    atomic.Uint64
	remoteHits, remoteErrors                                  atomic.Uint64
}

// An outcome is how a lookup ended.
type outcome int

const (
	missed outcome = iota
	hit
	stale
	coalesced
	negative
)

// count adds one lookup; saved is what its answer took to load.
func (c *counters) count(o outcome, saved time.Duration) {
	switch o {
	case hit:
		c.hits.Add(1)
	case stale:
		c.stale.Add(1)
	case coalesced:
		c.coalesced.Add(1)
	case negative:
		c.negative.Add(1)
		return
	default:
		c.misses.Add(1)
		return
	}
	if saved > 0 {
		c.saved.Add(uint64(saved))
	}
}

// Stats returns the counters. It may be called at any rate.
func (c *Cache[K, V]) Stats() Stats {
	s := Stats{InFlight: c.inFlight.Load(), LoadSeconds: c.loadTimes.Read()}
	var saved uint64
	for n := range c.counters.Each() {
		s.Hits += n.hits.Load()
		s.Stale += n.stale.Load()
		s.Misses += n.misses.Load()
		s.Coalesced += n.coalesced.Load()
		s.Negative += n.negative.Load()
		s.Loads += n.loads.Load()
		s.LoadErrors += n.loadErrors.Load()
		s.LoadNotFound += n.loadNotFound.Load()
		s.LoadPanics += n.loadPanics.Load()
		s.LoadCanceled += n.loadCanceled.Load()
		s.Refreshes += n.refreshes.Load()
		s.Detached += n.detached.Load()
		s.NotStored += n.notStored.Load()
		s.Purges += n.purges.Load()
		s.RemoteHits += n.remoteHits.Load()
		s.RemoteErrors += n.remoteErrors.Load()
		saved += n.saved.Load()
	}
	s.SavedSeconds = float64(saved) / 1e9
	items, bytes, evicted := c.store.Usage()
	s.Items, s.Bytes, s.Evicted = int64(items), bytes, evicted
	return s
}
