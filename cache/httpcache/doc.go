// Package httpcache answers GET and HEAD requests from memory, as far as the responses of an
// http.Handler permit it: a shared cache by RFC 9111.
//
//	responses, err := httpcache.New(httpcache.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe(":8080", responses.Handler(mux)))
//
// A handler says what may be shared, and for how long:
//
//	httpcache.Public(w, time.Minute, "catalog")
//
// Nothing is stored that a response did not permit: putting this around an existing service
// changes no answer.
//
// # Guarantees
//
// No user gets the response to another. Requests that arrive together wait for one handler, and
// what they share is decided when its header is there: a response that is private, no-store, an
// answer to Authorization, or made for another value of what Vary names goes to its own
// request alone; the others run the handler themselves, all at once.
//
// Who waits gets the body as it is written, at his own pace; a slow client slows nobody. A
// handler that panics, aborts, or writes less than its Content-Length leaves nothing behind: what
// was cut looks cut to everybody, and is not stored. The client that happened to come first may
// leave without ending the response of the others.
//
// A hit allocates nothing, and a 304 neither.
//
// Unsafe requests forget the URL that they changed before their answer leaves. What is purged
// is gone for every request that begins afterwards, also if it was just being made.
//
// # Limits
//
// Memory is bounded by [Config.MaxBytes]; besides, each response that is being made, at most
// 4,096 of them shared, holds at most MaxEntry of its body. Stored are at most 16 KiB of a
// header field and 64 KiB in all, and 64 tags of 1 KiB. A key has at most 8 KiB; longer ones
// pass. Key bytes beyond 512, and a path that needs escapes, cost an allocation.
//
// Responses with trailers and 206 are never stored. A request that accepts text/event-stream passes.
//
// # Composition
//
//   - One Cache MUST stand around one handler: around two, equal URLs would share entries.
//   - What a handler answers by has to be in the URL, in Vary, or in [Config.Key]. A layer outside
//     that changes requests by who asks MUST be named there too.
//   - A layer outside MUST NOT write into the elements of header values that it did not set: they
//     are shared by all hits. Setting, adding and removing fields is fine.
//   - compress SHOULD stand outside: each stored body is then encoded once, and later hits leave
//     encoded. Inside, one variant per coding is stored.
//   - What outer layers set on a response (request ids, CORS) is neither stored nor replaced.
//   - What limits the work of handlers SHOULD stand inside: hits do no work.
package httpcache
