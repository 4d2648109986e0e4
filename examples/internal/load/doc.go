// Package load is a load generator that does not hide what users would feel.
//
//	result, err := load.Open(ctx, load.Plan{Rate: 150, For: 10 * time.Second, Seed: 1}, next)
//	p99, ok := result.Quantile("", 0.99)
//
// Users do not wait for each other: when a server freezes, they keep coming. A generator that
// sends the next request when the last one was answered stops with the server, and reports a
// freeze of a second as one slow request. [Open] follows a schedule that was drawn beforehand
// and counts from the moment at which an action was due, so a freeze of 1 s in every 5 s shows
// as what it is: p90 500 ms, p99 950 ms. [Closed] is the other kind, for saturation: as fast as
// so many clients get their answers.
//
// # Guarantees
//
// Samples are kept as they are, 8 bytes each; a quantile is one of them, and is not given at
// all while fewer than ten samples lie beyond it. A failure, of whatever cause, is never a
// sample. The same seed gives the same moments, and calls next with the same numbers in the same
// order. Each request is written once: nothing is repeated behind the caller's back. Bytes are
// counted at the socket, headers included. How late the generator itself was is kept apart, as
// the lag.
//
// # Limits
//
// HTTP/1.1 without TLS. Answers are read into memory and are refused beyond 64 MiB.
package load
