// Package compress encodes the responses of an http.Handler as zstd, br or gzip, and decodes
// the bodies of its requests.
//
//	c, err := compress.New(compress.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe(":8080", c.Handler(mux)))
//
// Compressing is easy; staying right is not. A body in another coding is another sequence of
// bytes: with the same strong entity tag caches splice the two, with a changed one
// revalidation and If-Match end. A handler that panics must not end as a well-formed answer.
// An event has to leave when it is flushed, and a stream that waits for the next one should
// not hold a megabyte.
//
// # Guarantees
//
// Negotiation is RFC 9110 section 12.5.3 to the letter: weights, "*", refused identity, 406
// before the handler runs if nothing is acceptable. Vary: Accept-Encoding stands on every
// response that depends on it, encoded or not.
//
// Entity tags keep working. `"v1"` leaves as `"v1~zstd"`, and the handler gets `"v1"` back
// in If-None-Match and If-Match; a 304 names what the client has. One strong tag never names
// two byte sequences. A "~" and a coding at the end of a strong tag are therefore ours: a handler
// SHOULD NOT end its own so. Range requests are answered from the plain body, and If-Range with a
// coded tag by the whole of it.
//
// What is not worth it stays as it is: types that are compressed already, bodies below
// MinSize, bodies that do not get smaller, no-transform, signed responses.
//
// What was cut looks cut: after a panic, a short body or a failing encoder no coded body is
// ended. If nothing was sent yet a recoverer outside can still answer 500.
//
// A body of at most 64 KiB is encoded in one go and leaves with its exact length. A longer one
// is streamed. Flush sends everything written so far, the header at least. A response costs
// one allocation, its writer; a strong tag costs another.
//
// Event streams, which are text/event-stream, NDJSON and whatever has less than 4 KiB at its
// first Flush, take gzip where the client likes it as well: between events such a stream
// holds 8 KiB of history and no encoder.
//
// # Limits
//
// Memory: 64 KiB and an encoder per response that is being encoded; encoders that streamed
// bodies hold are at most MaxEncoders; a decoder, with a window of at most 8 MiB (16 MiB for br),
// per request body that is being read.
//
// A strong tag assumes that a handler which streams more than 64 KiB before its first Flush
// flushes at the same places each time, or not at all. One that does otherwise needs a weak tag.
//
// An attacker who can put text into a page, and see how long it is, can guess a secret that is
// encoded with it (BREACH). Keep such pages as they are, with [Off] or [Config.Skip].
//
// The coding deflate is not offered: receivers disagree about what it is.
//
// # Composition
//
//   - What cuts or changes bodies SHOULD stand inside: it sees plain bytes. What stands outside
//     sees coded ones, with their Content-Encoding.
//   - A cache inside gets its stored bodies encoded once, and each later hit leaves in its kept
//     form. A cache outside keeps one variant per coding.
//   - A layer outside MUST NOT change Accept-Encoding without changing it for everybody: it
//     is part of what Vary names. [Config.Skip] MUST NOT look at it.
//   - http.TimeoutHandler MUST stand outside, for it hides the client from what is inside it.
//   - http.MaxBytesHandler SHOULD stand outside a [Decompressor], and bounds the coded bytes.
package compress
