package rediscache

import "sync/atomic"

// Stats is a snapshot of what a Tier has done since it was made.
type Stats struct {
	Hits       uint64 `metric:"hotpath_rediscache_fetches_total,result=hit" help:"Keys asked for, by what Redis said."`
	Leases     uint64 `metric:"hotpath_rediscache_fetches_total,result=lease"` // this process loads it
	Waits      uint64 `metric:"hotpath_rediscache_fetches_total,result=wait"`  // another does
	Unreadable uint64 `metric:"hotpath_rediscache_unreadable_total" help:"Values that Decode refused."`
	Lost       uint64 `metric:"hotpath_rediscache_lost_fills_total" help:"Loaded values that were not shared because something newer came."`

	Trips         uint64 `metric:"hotpath_rediscache_trips_total" help:"Trips to Redis, without pings."`
	TripErrors    uint64 `metric:"hotpath_rediscache_trip_errors_total" help:"Trips that failed or took too long."`
	Invalidations uint64 `metric:"hotpath_rediscache_invalidations_total" help:"Keys and tags that others have changed."`
	Gaps          uint64 `metric:"hotpath_rediscache_gaps_total" help:"Times that something may have been missed, so that everything here was dropped."`
	Up            int64  `metric:"hotpath_rediscache_up" help:"1: Redis answers."`
}

type counters struct {
	hits, leases, waits, unreadable, lost  atomic.Uint64
	trips, tripErrors, invalidations, gaps atomic.Uint64
}

// Stats returns the counters. It may be called at any rate.
func (t *Tier[K, V]) Stats() Stats {
	c := &t.counters
	s := Stats{
		Hits: c.hits.Load(), Leases: c.leases.Load(), Waits: c.waits.Load(), Unreadable: c.unreadable.Load(), Lost: c.lost.Load(),
		Trips: c.trips.Load(), TripErrors: c.tripErrors.Load(), Invalidations: c.invalidations.Load(), Gaps: c.gaps.Load(),
	}
	if t.up.Load() && t.usable() == nil {
		s.Up = 1
	}
	return s
}
