// Package cache is a typed read-through cache: Get returns the value that is here and fresh,
// or loads it, once for all who ask for it at that time.
//
//	users, err := cache.New(cache.Config[int64, User]{
//		Load:         db.User, // func(ctx context.Context, id int64) (User, error)
//		TTL:          time.Minute,
//		StaleIfError: time.Hour,
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	u, err := users.Get(ctx, id)
//
// The hard part of a cache is not the map. It is what happens when a thousand callers ask at
// once, the first one hangs up, somebody deletes the key in the middle, the loader panics, or
// the source is down.
//
// Values are shared: all callers of a key get the same one. Treat what you get as read-only,
// or set [Config.Clone].
//
// # Guarantees
//
// One load. A key that is asked for by any number of callers at once is loaded exactly once,
// also if the load takes no time at all.
//
// Nobody feels another's end. A load goes on while one caller waits for it; each caller returns
// as soon as its own context ends, whatever the load does; when the last has left, the load's
// context ends and nobody joins it any more.
//
// No older value after a newer one. When [Cache.Set], [Cache.Delete], [Cache.PurgeTags] or
// [Cache.PurgeAll] has returned, no Get that begins later sees what was before: a load that was
// under way answers those who waited for it and is not stored. The history of each key is
// linearizable.
//
// Errors stay what they are. They are returned as the loader gave them and never remembered,
// but for [ErrNotFound], which is an answer and has a [Config.NegativeTTL]. A panic reaches the
// caller that started the load; others get a [PanicError]; the key works again at once.
//
// Memory is bounded: the bytes of keys, values and everything around them never exceed
// [Config.MaxBytes], and are what the heap has, within 15 %. Purging a tag takes the same time
// for one entry and for millions.
//
// Nothing runs between calls: no goroutine, no timer, nothing to close.
//
// # Limits
//
// A loader that ignores its context keeps its goroutine until it returns; its callers do not
// wait for it. Two loads, started apart, that wait for each other end by [Config.LoadTimeout];
// a load that needs its own key is an error at once, if it passes its context on.
//
// Tags are kept as slots of a table: two tags may share one, and then a purge takes a little
// too much, never too little. An entry has at most 64 tags of at most 1 KiB.
//
// # Several processes
//
// Each has a cache of its own. With [Config.Remote], as cache/rediscache is one, a miss takes the
// value that another process has loaded, a cold key is loaded in one process for all, and what
// one deletes, sets or purges is gone in the others. Without the Remote nothing costs more; with
// it a hit costs the same. Delete, Set and the purges then wait for the Remote, a second at most;
// what it could not be told is told behind, and until then this process takes nothing older from
// it. [Stats.RemoteErrors] counts that.
//
// # Choosing an engine
//
// What keeps the entries is a [Store]. Leave [Config.Store] nil unless you have a reason: the
// built-in engine has no goroutines and nothing to close, its readers take no lock, and it keeps
// what is worth keeping. cache/ristrettostore puts dgraph-io/ristretto in its place, made
// correct: a new key is there when Set returns, a replaced one never comes back. Measured by bench/,
// where the peers stand too:
//
//	                                   built in    ristrettostore    ristretto alone
//	hits on sixteen traces                 45.6 %            40.3 %             39.5 %
//	a hit, of the built-in engine's time        1               2.4                1.4
//	heap for a key of 13 and a value of 16    147 B             314 B              293 B
//	goroutines at rest                          0                 2                  2
//
// Take ristretto if your organisation runs on it, wants its admission or its metrics, or compares
// engines: the guarantees above are the same. cache/storetest says whether an engine of your own
// keeps the contract.
//
// # Why not golang.org/x/sync/singleflight in front of a map
//
// Because it knows nothing of the map. Between a caller's look at the map and its call of Do,
// another's load can end, so a cold key is loaded again; the first caller's cancelled context
// fails everybody who waits; and a load that began before a delete is stored after it, and
// stays.
//
// # Composition
//
//   - Who changes the source MUST change the cache after it, before it answers: first the
//     database, then [Cache.Delete], [Cache.Set] or [Cache.PurgeTags].
//   - A loader MUST NOT depend on who is asking: what it returns is for everybody. Put whatever
//     makes the answer different into the key.
//   - A batch loader fits in both places: as Load, where it joins the misses of several keys
//     into one query, and as LoadMany, for [Cache.GetMany].
//   - A cache of encoded answers ([]byte) SHOULD stand behind what compresses them, or it holds
//     one entry per coding.
package cache
