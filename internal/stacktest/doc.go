// Package stacktest checks what must hold for any stack of middleware, ours and foreign, in any order and over
// HTTP/1.1 and HTTP/2. It has tests only.
//
// A middleware is stackable if it can stand at any place of any stack and these go on to hold:
//
//   - A client gets what the bare handler sends: status, decoded body, fields as they were when the header was
//     settled, trailers, 103 (bodies_test.go). No coding that it refused, and one Vary (codings_test.go).
//   - One strong tag names one sequence of bytes, and what was served revalidates; who has read may write
//     (tags_test.go).
//   - What was cut looks cut, to clients and to layers outside, and is never stored (cuts_test.go).
//   - What was flushed arrives while the handler runs, and its connection is within reach: Hijack, deadlines, full
//     duplex, 100-continue (connections_test.go).
//   - Nothing crosses between users, and many at once get what each would get alone (users_test.go).
//   - A part of a batch is a request, and costs what one costs (parts_test.go).
//   - The route is visible outside, a refusal is one request's own, and nothing is left of a request when it is
//     over: no slot, no encoder, no goroutine (outside_test.go, harness_test.go).
//
// The promises stand in promises_test.go, with the foreign layers that break one by themselves. Each is a function
// that knows an origin, a client and the letters of the stack between them, and asks for nothing that depends on
// what stands where, unless it says so. Files named pair_ look into two or three layers that help each other.
package stacktest
