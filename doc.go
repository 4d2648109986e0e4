// Package hotpath is the root of a library of performance middleware for net/http. It
// holds no code: each of its packages is imported by itself, wraps handlers you have,
// and works with the others in any order.
//
//	cache    typed read-through cache: one load per key, tags, stale answers when the source fails
//	cache/httpcache  HTTP responses by RFC 9111, streamed to all who wait
//	compress responses as zstd, br or gzip, encoded once; request bodies decoded
//	throttle exact limits for each consumer, in memory that is set once; fields that tell when to come back
//	pool     background work that is not lost; pool/bulkhead: requests, not all at once
//	metrics  any Stats(), of hotpath or your own, as Prometheus metrics; nobody else links client_golang
//
// The packages partial and batch are being built; CHANGELOG.md says what is there.
package hotpath
