// Package rw is the one ResponseWriter under every wrapper of hotpath, and the small
// contracts by which wrappers that never import each other work together.
//
// # Writer
//
// A wrapper is a struct that embeds [Writer] by value; what it does differently is a [Layer].
// Without one it passes everything through, which is what an observer wants:
//
//	type counter struct {
//		rw.Writer
//	}
//
//	func (m *Middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
//		c := new(counter)
//		c.Wrap(w, nil)
//		c.Serve(c, m.next, r)
//		m.count(c.Status(), c.Written())
//	}
//
// The Writer keeps what handlers may expect of net/http, whatever the Layer does: a status
// is settled once; header changes after that do not leak, however long the header is held;
// 1xx responses pass; HEAD, 204, 205 and 304 have no body; trailers arrive;
// [http.ResponseController] reaches everything; and after the handler returned every method
// fails. It allocates nothing besides the struct that embeds it (with [Writer.Private] the
// maps), which must never be pooled: handlers keep writers longer than they should.
//
// What no wrapper can keep: http.MaxBytesHandler tells net/http by a method without a name
// outside of it to close the connection of a request that was too large.
//
// # Walking
//
// Layers find each other by following Unwrap outwards ([Walk], [WalkOut]). Foreign writers
// with Unwrap are walked through; one without ends the walk, and then each layer works
// alone: slower, never wrong.
package rw
