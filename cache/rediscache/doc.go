// Package rediscache shares a cache between processes by Redis or Valkey, and tells each of them
// at once what another has changed.
//
//	tier, err := rediscache.New[int64](rediscache.Config[User]{
//		Client: rueidis.ClientOption{InitAddress: []string{"redis:6379"}},
//		Prefix: "shop:users",
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer tier.Close(context.Background())
//	users, err := cache.New(cache.Config[int64, User]{Load: db.User, Remote: tier})
//
// # Why
//
// Ten processes with a cache each load every value ten times, and a Delete in one leaves nine old
// ones. Redis in front of every read costs a trip where memory costs none. Here a hit is a hit
// in memory, a miss is a trip, and what is changed is gone everywhere.
//
// # Guarantees
//
// One load for all. A cold key that is asked for in any number of processes at once is loaded by
// one, which has a lease; the others wait for Redis to tell them that it is there, without
// polling.
//
// A write beats a load. A value is shared only if the lease for it still stands: a Delete, a Set or
// a purge of one of its tags, in whatever process, ends a load that is under way in any. Whoever
// joined that load gets what is loaded after it.
//
// A lease is over when nobody is interested in it any more: when its load has failed or is given up, when
// its process is closed, and, if its process has died, after [Config.Lease]. When three loads of a
// key have come to nothing all who wait for it try for themselves, and not one after the other.
//
// A bound, whatever happens. No process serves a value for longer than [Config.MaxStaleness] after
// Redis was told of a change. As a rule it is told within a trip, by the tracking of RESP3
// (CLIENT TRACKING). Every third of MaxStaleness a ping shows that nothing is missing; when one
// does not come back, or the connection ends, everything here is dropped at once. This holds with
// Redis stopped, killed, restarted empty or flushed, with what it evicts or no longer has room to
// watch, and with the connection cut or standing still. A process that stood still itself drops
// everything when it goes on; what it answers in that very moment may be old.
//
// Without Redis the cache works. Each process loads a key once for all who ask it, and keeps it
// for at most MaxStaleness, not even as a stale answer for longer. A trip that takes more than a
// third of MaxStaleness has failed; after that nobody waits for Redis until a ping has come back.
//
// A Delete that cannot be told, because Redis is away, is tried again for 5 s, and then when
// Redis answers; until then this process takes nothing older from it. [Tier.Remove] and
// [Tier.RemoveTags] say whether it was told, for those who must know.
//
// # Limits
//
// Between the return of a Delete in one process and its message in another there is the time of a
// trip. A Delete that Redis has not been told of is one of this process alone.
//
// What a process has loaded itself, or waited for, it keeps in memory from the next Get on, which makes a
// trip: Redis tells it of its own writes too, for it would not be told of all others' without that.
//
// A value whose encoding is larger than [Config.MaxValueBytes] is not shared. A key that does not
// exist is shared only with a NegativeTTL.
//
// Values are kept for their TTL and for as long as the cache may serve them as stale. Redis may
// evict anything: a value is then loaded again, and the loss of a tag takes what has it with it. A
// value with tags takes a second trip when it is taken from Redis.
//
// ExpireTags is a purge for the others, and what one process has refreshed the others drop and
// take anew. Times are those of the server's clock, which must not be set back. Replication of
// Redis is not synchronous: a failover may forget a Delete that had been told, as it may forget
// any write; the connection ends then, so what is in memory is dropped.
//
// While processes of two Versions run side by side, Delete and Set reach those of their own
// Version, purges of tags reach all.
//
// Redis 7 or Valkey, alone, with Sentinel, or a Cluster, where all keys of a Tier are in one slot.
//
// # Composition
//
//   - One Tier MUST have one Cache. Close it after the last use of the cache; the cache then works
//     alone.
//   - Two caches MUST NOT have the same Prefix, unless they are the same cache in two processes:
//     same keys, same values, same loader.
//   - Change Version with the encoding of a value.
//   - Who changes the source SHOULD change it first, then call Delete, as without a tier.
package rediscache
