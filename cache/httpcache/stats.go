package httpcache

import "sync/atomic"

// Stats is a snapshot of what a Cache has done since it was made. Each request ends in exactly one
// outcome.
type Stats struct {
	Hits        uint64 `metric:"hotpath_httpcache_requests_total,outcome=hit" help:"Requests, by how they were answered."`
	Stale       uint64 `metric:"hotpath_httpcache_requests_total,outcome=stale"`       // by a stale response, while or because there was no other
	Revalidated uint64 `metric:"hotpath_httpcache_requests_total,outcome=revalidated"` // the handler said 304
	Misses      uint64 `metric:"hotpath_httpcache_requests_total,outcome=miss"`
	Coalesced   uint64 `metric:"hotpath_httpcache_requests_total,outcome=coalesced"` // by the load of another
	Bypassed    uint64 `metric:"hotpath_httpcache_requests_total,outcome=bypass"`    // by method, upgrade, body, or a hit-for-miss mark

	Answered304 uint64 `metric:"hotpath_httpcache_not_modified_total" help:"304 sent from the store."`
	Answered206 uint64 `metric:"hotpath_httpcache_partial_total" help:"206 sent from the store."`
	Coded       uint64 `metric:"hotpath_httpcache_coded_hits_total" help:"Hits whose encoded form an outer layer may have sent."`

	Stored    uint64            `metric:"hotpath_httpcache_stored_total" help:"Responses stored, those that a 304 confirmed included."`
	NotStored map[string]uint64 `metric:"hotpath_httpcache_not_stored_total" label:"reason" help:"Responses not stored, by reason."`

	Refreshes     uint64 `metric:"hotpath_httpcache_refreshes_total,result=ok" help:"Refreshes behind, by result."`
	RefreshErrors uint64 `metric:"hotpath_httpcache_refreshes_total,result=error"`
	Invalidations uint64 `metric:"hotpath_httpcache_invalidations_total" help:"Purges, and unsafe requests that caused one."`
	Evicted       uint64 `metric:"hotpath_httpcache_evictions_total" help:"Entries evicted to make room."`

	Entries  int64 `metric:"hotpath_httpcache_entries" help:"Entries in memory: responses, Vary rules and marks."`
	Bytes    int64 `metric:"hotpath_httpcache_bytes" help:"Memory charged to entries."`
	InFlight int64 `metric:"hotpath_httpcache_loads_in_flight" help:"Requests that the handler is answering."`

	SavedSeconds float64 `metric:"hotpath_httpcache_handler_seconds_saved_total" help:"Time that the handler would have taken had there been no cache."`
	SavedBytes   uint64  `metric:"hotpath_httpcache_handler_bytes_saved_total" help:"Body bytes that the handler did not write."`
}

type counters struct {
	hits, savedTime, savedBytes, stale, coalesced atomic.Uint64 // savedTime in nanoseconds
	revalidated, misses, bypassed                 atomic.Uint64
	answered304, answered206, coded, stored       atomic.Uint64
	refreshes, refreshErrors, invalidations       atomic.Uint64
	notStored                                     [reasons]atomic.Uint64
}

// Stats returns the counters. It may be called at any rate.
func (c *Cache) Stats() Stats {
	s := Stats{InFlight: c.inFlight.Load(), NotStored: make(map[string]uint64, reasons)}
	var saved uint64
	for n := range c.counters.Each() {
		s.Hits += n.hits.Load()
		s.Stale += n.stale.Load()
		s.Revalidated += n.revalidated.Load()
		s.Misses += n.misses.Load()
		s.Coalesced += n.coalesced.Load()
		s.Bypassed += n.bypassed.Load()
		s.Answered304 += n.answered304.Load()
		s.Answered206 += n.answered206.Load()
		s.Coded += n.coded.Load()
		s.Stored += n.stored.Load()
		s.Refreshes += n.refreshes.Load()
		s.RefreshErrors += n.refreshErrors.Load()
		s.Invalidations += n.invalidations.Load()
		saved += n.savedTime.Load()
		s.SavedBytes += n.savedBytes.Load()
		for why := storable + 1; why < reasons; why++ {
			s.NotStored[why.String()] += n.notStored[why].Load()
		}
	}
	s.SavedSeconds = float64(saved) / 1e9
	items, bytes, evicted := c.store.Usage()
	s.Entries, s.Bytes, s.Evicted = int64(items), bytes, evicted
	return s
}
