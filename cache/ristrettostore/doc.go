// Package ristrettostore makes dgraph-io/ristretto the storage engine of a cache.
//
//	engine, err := ristrettostore.New[int64, User](ristrettostore.Config{MaxBytes: 256 << 20})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer engine.Close(context.Background())
//	users, err := cache.New(cache.Config[int64, User]{Load: db.User, Store: engine})
//
// # Why
//
// Use the built-in engine unless you have a reason. This one is for organisations that run on
// ristretto, want its admission policy, or compare engines: behind cache.Store the promises of a
// cache are the same.
//
// # Guarantees
//
// It passes storetest. Ristretto by itself does not: a new key is queued and may be dropped, so
// that a Get directly after Set usually misses; a second Set of a queued key is dropped and the
// old value stays; a newcomer is refused while the cache is full; an update never evicts, so the
// bound can be passed; and keys are compared by 64 or 128 bits of their hash. So here each
// write waits until it is done, newcomers stay in a window of about a hundredth of the memory
// before they compete, an update is a delete and a set, keys are compared whole, and bytes are
// counted by ourselves.
//
// # Limits
//
// It has goroutines, ristretto's, until Close. Writes are one at a time, and wait. Peek counts as
// a use, for ristretto has no other look. The memory of its frequency counters, about 3 bytes
// times 10 for each of Config.Items, is not part of MaxBytes.
package ristrettostore
