// Package hotpath is the root of a library of performance middleware for net/http. It
// holds no code: each of its packages is imported by itself, wraps handlers you have,
// and works with the others in any order.
//
//	cache    typed read-through cache: one load per key, tags, stale answers when the source fails
//	cache/httpcache  HTTP responses by RFC 9111, streamed to all who wait
//	cache/rediscache, cache/ristrettostore  a tier of cache that processes share; another engine for it
//	compress responses as zstd, br or gzip, encoded once; request bodies decoded
//	throttle exact limits for each consumer, in memory that is set once; fields that tell when to come back; throttle/redisthrottle: for all processes
//	partial  only the fields that were asked for, cut without decoding, and told to the query
//	batch    many loads in one query, without a window; many requests in one
//	pool     background work that is not lost; pool/bulkhead: requests, not all at once
//	metrics  any Stats(), of hotpath or your own, as Prometheus metrics, and golden signals by route; nobody else links client_golang
package hotpath
