// Package partial sends only the fields that were asked for.
//
//	f, err := partial.New(partial.Config{Allow: partial.For[List]()})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe(":8080", f.Handler(mux)))
//
// A client that needs three of fourteen fields says so, in the language of Google's partial
// responses (AIP-157, AIP-161), and any handler obeys whose Content-Type is JSON (set it: net/http
// takes JSON for text/plain):
//
//	GET /products?fields=items(id,name,price),next
//
// A mask hides nothing: whoever leaves it out sees the whole document. What a client must not see
// MUST NOT be encoded.
//
// # One mask, three uses
//
// [Filter.Handler] cuts the bytes that handlers write, and so does [Mask.Append] anywhere else. A
// handler that knows better loads less: [FromContext] has the mask, [Mask.Has] says whether a part
// is wanted, [Columns] names what to select. [Filter.WriteJSON] encodes a value and cuts it once.
//
//	m := partial.FromContext(r.Context())
//	columns := partial.Columns[Product](m.Sub("items"), "db", "id")
//	list := List{Items: load(ctx, columns)}
//	if m.Has("total") {
//		list.Total = count(ctx)
//	}
//	err := f.WriteJSON(w, r, http.StatusOK, &list)
//
// It may always load more than the mask, never less: the filter outside makes the answer exact.
//
// # The language
//
// a,b selects members; a/b and a(b,c) go a level down; a(b,c)/d does so for each of a group; * is
// every member of an object. Arrays have no level of their own: a mask applies to each element.
// A mask is the union of its paths, so that more terms never give less, and order and repetition
// do not matter. A backslash takes the next byte as it is. A value that the mask goes into and
// that is no object, array or null is dropped. [ ], and ! at the beginning of a name, are
// reserved.
//
// # Guarantees
//
// Nothing is decoded: what is kept is the document's own bytes, order, duplicates, the text of
// numbers and escapes included. Cutting allocates nothing and needs the same memory for 1 KB
// and 10 GB. Several texts in one body (NDJSON, RFC 7464) are cut one by one.
//
// A mask that cannot be read, or names what [Config.Allow] has not, is a 400 (RFC 9457) with
// position and suggestion before the handler runs. An answer that is not JSON leaves as it came, or is
// visibly cut off if its beginning was sent; it never becomes another document. Errors, problems,
// redirects, parts of content, coded bodies and no-transform stay as they are.
//
// Entity tags keep working. `"v1"` leaves as `"v1~fields.X"` for each mask, a client revalidates
// with that, and If-Match takes it for an update of the whole. A tag SHOULD NOT end so by itself.
//
// A body that fits into Buffer once it is cut, and one that comes in a Write of its declared
// length, have an exact Content-Length. Flush sends all but the name that is being written.
// Without a mask the handler gets the very writer and request that came.
//
// # Limits
//
// Outside of the path that a mask selects only strings and brackets are checked: who distrusts the
// producer calls [encoding/json.Valid] first. A name of more than 64 KiB within "*/x" is a fault.
// The memory of a masked response is at most twice Buffer and 40 KiB.
//
// Ranges are not served of cut bodies, and a masked request asks for identity: what the handler
// encodes by itself anyway is not cut.
//
// # Composition
//
//   - What encodes bodies SHOULD stand outside: it then encodes the cut bytes. Inside, it gets a
//     request for identity, and the answer leaves uncoded.
//   - A cache SHOULD stand inside: it keeps one document for all masks, and each is cut from the
//     hit. Outside, it keeps an entry for each text of a mask. A handler with push-down needs it
//     outside, for inside of a cache there is no mask.
//   - A layer that shares answers between requests MUST NOT share what was loaded for a mask.
//   - What stands inside MUST NOT depend on Accept-Encoding, Range and If-Range of a masked
//     request.
//   - A second Filter inside of one only checks its own Allow.
package partial
