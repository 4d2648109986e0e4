// Package throttle gives every consumer of a service token buckets, and refuses what is over
// them before work is done.
//
//	limit, err := throttle.New(throttle.Config{Rate: throttle.Per(100, time.Minute)})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe(":8080", limit.Handler(mux)))
//
// A limiter is easy to write and easy to get wrong. One that reads its clock before it takes
// its lock admits every call under contention (golang/go#65508). A map of them grows with each
// address that ever came, and a bounded one lets a flood wash away the record of whoever made it.
// A window that ends at a minute lets two bursts through at its edge. A key from a header that
// anybody can send limits nobody.
//
// # Guarantees
//
// In any time d a key gets at most Burst + d x N/Per tokens, whatever goroutines and clocks do.
// A call is admitted at the nanosecond at which it is due and not one before; a refusal changes
// nothing. Several policies are one decision: if one refuses none is charged.
//
// Memory is set when the limiter is made: 21.4 bytes for each key of Capacity and policy. A key
// that is full again needs none. There is no goroutine and no sweeper. A known key costs no lock
// and no allocation; a request that is let in costs one, its writer, with several policies one for
// its fields, and with more than three one for the decision.
//
// A client knows when to come back: Retry-After is right for the very request, RateLimit and
// RateLimit-Policy say what is left, and a refusal is RFC 9457 problem details.
//
// Without TrustedProxies no header can say who a client is; with them, only what they wrote. A
// request whose key cannot be told is refused, never counted with others.
//
// # Limits
//
// The bound does not hold for records that were dropped for want of room (Stats.Forgotten: raise
// Capacity, or say OnFull "refuse"), for refunds, for costs settled afterwards, and for calls in
// flight during a Reconfigure. Keys are 64-bit hashes under a seed of the process: of a million
// live ones two share a bucket with a probability of 3e-8. A restart is one more Burst, and each
// process counts for itself.
//
// A bucket is not a concurrency limit: ten slow requests cost what ten fast ones do, unless the
// handler says what they cost with [Limiter.Settle].
//
// # Composition
//
//   - What a client may choose at will MUST NOT be a key. Keys from headers belong inside
//     authentication, addresses outside of it.
//   - CORS SHOULD stand outside: preflights are answered before they cost, and pages can read a
//     429.
//   - Outside a response cache hits cost tokens too (it guards the edge); inside, only misses do
//     (it guards the origin). A cache MUST NOT store RateLimit, RateLimit-Policy or X-RateLimit
//     fields, and a refusal MUST go to its own request only, never to those that wait with it.
//   - A batch of n parts costs n, on whichever side of the throttle it stands. Formats of your own
//     charge for their calls with [Limiter.Charge].
//   - http.TimeoutHandler MUST stand outside, for it hides the charge from what is inside it.
package throttle
