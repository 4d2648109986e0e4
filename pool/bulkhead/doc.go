// Package bulkhead bounds how many requests a service works on at a time, and decides who waits,
// who is served and who hears no at once.
//
//	limit, err := bulkhead.New(bulkhead.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe(":8080", limit.Handler(mux)))
//
// A service that admits everything answers nothing in time. With package pool it shares the idea:
// servers, a queue, a discipline. A Pool runs work later on workers of its own; a Bulkhead lets
// work run on the goroutines of its callers, but not all at once.
//
// # Guarantees
//
// The handler runs on the goroutine that called it and holds its slot until it returns, also if
// the client has left: else HTTP/2 rapid reset (CVE-2023-44487) makes work without bound. The slot
// is given back once, by return, panic, http.ErrAbortHandler and runtime.Goexit, or when the
// handler declares itself long-lived by Hijack or the first Flush of a text/event-stream.
//
// A client that leaves while it waits is out at once, and the handler is not called. Whose context
// ends there for another reason, as a deadline or a shutdown, is refused. Every refusal is a 503 with Retry-After and Cache-Control: no-store.
//
// Small responses are kept until the handler has returned and sent after the slot was given back:
// slow readers hold none. Flush, Hijack, 1xx, HEAD and what is larger than Buffer pass through.
//
// # The limit
//
// It starts at 4 and doubles as long as that makes nothing slower: some six service times to 64; and
// each tenth of a second in which every slot is taken, requests wait and nothing returns, as when
// calls are long.
// From then on it follows the mean service time, by Little's law, against the least one seen. When
// that is exceeded by half the limit is halved for a moment: if the mean comes down too, what runs
// at a time is the cause and the limit stays lower; if not, the service itself has become slower,
// and the limit comes back. So it does in doubt: what is within the noise, two standard errors of
// times that may differ a hundredfold, is no difference, and a probe lasts a few seconds at most.
//
// # Limits
//
// The limit learns from all handlers alike, and the more their times differ the later it sees an
// overload: ones that differ a thousandfold, or that wait for something else most of the time, want [Config].Fixed or a Bulkhead of their own. With very
// few servers and a Limit guessed far too high it settles at about three times the servers. By
// default no header is read: a priority or tenant that a client claims MUST be checked first, and
// an Exempt by path prefix compared with r.Pattern, or it is a way around the limit.
//
// # Composition
//
//   - The order: throttle > compress > batch > partial > httpcache > bulkhead > mux. Throttle stops
//     the abuser, the Bulkhead protects the machine.
//   - http.TimeoutHandler stands outside: its inner goroutine outlives the timeout, and its slot
//     must too.
//   - The same Bulkhead on both sides of a batch lets the parts pass.
//   - Before a database: Fixed, and Limit the size of the connection pool.
package bulkhead
