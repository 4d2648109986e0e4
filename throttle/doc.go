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
// Memory is set when the limiter is made: 21.4 bytes for each key of Capacity and policy, twice that
// with a Remote. A key
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
// # Many processes
//
// With Config.Remote (package redisthrottle, on Redis or Valkey) many processes share the buckets, and
// in any time d all of them together admit at most Burst + (d + Lease) x N/Per. A decision is at most
// one round trip. Keys that come often take tokens ahead, hold them for a Lease, and need one in a
// hundred; near the limit, and for keys that come seldom, each decision is the store's own. A key with
// nothing left is refused without asking until its next token is due, for a second at most.
//
// No decision waits longer than Budget. After five failures in a row nobody waits: OnDown decides, and
// one goroutine asks behind the requests until the store is back. With "local" an outage admits at most
// Burst/Nodes more per key and process. Tokens that a trip took which was given up are spent.
//
// Of what a lease holds no RateLimit field is sent, for how much is left elsewhere is not known.
//
// # Limits
//
// The bound does not hold for records that were dropped for want of room (Stats.Forgotten: raise
// Capacity, or say OnFull "refuse"), for refunds, for costs settled afterwards, and for calls in
// flight during a Reconfigure; with a Remote, for what its store loses, and for tokens given back by a
// trip that arrives after it was given up. Keys are 64-bit hashes under a seed of the process: of a million
// live ones two share a bucket with a probability of 3e-8. A restart is one more Burst, and each
// process counts for itself, unless there is a Remote.
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
