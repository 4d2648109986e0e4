// Package batch answers many in one: a [Loader] turns many loads into one query, an [Endpoint] many
// requests into one. A scope ties them: the parts of one batch share it, so twenty parts become one
// query.
//
//	users, err := batch.NewLoader(batch.LoaderConfig[int, User]{Fetch: selectUsersByID})
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
//		id, _ := strconv.Atoi(r.PathValue("id"))
//		user, err := users.Load(r.Context(), id)
//		...
//	})
//	many, err := batch.New(batch.Config{}) // POST /$batch
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe(":8080", many.Handler(mux)))
//
// Pages and clients ask one by one. Loaders that collect keys by sleeping add that sleep to every
// call, on every level of a nested query; in them the first caller's cancellation fails everybody, and
// values of one user answer another. Batch endpoints are a line of CVEs: parts that pass by the
// limits, that name other hosts, that forge their neighbours' answers.
//
// # Loader
//
// There is no window. Without a scope a load leaves when the processor has been given to others and
// no key has joined, unless two fetches are in flight: then what comes meanwhile is the next one. In a
// scope it leaves when all of its tasks wait, for nobody is left who could add a key: fifty tasks that
// load three levels are three fetches, every time. A task that is busy elsewhere delays the others
// by MaxWait at most. What is known to the scope as waiting are calls of this package and, with other
// packages of hotpath, waits for what others load.
//
// Nobody harms another: a caller who leaves gets the cause of his context at once and the others their
// values; a panic or Goexit in Fetch is an error for all who wait; errors are never remembered. In a
// scope an answer depends on key and scope alone: Fetch sees the values of the context in which the
// scope was opened, not those of whoever came first. Without a scope it sees none.
//
// # Endpoint
//
// A batch is a JSON object of OData JSON Format 4.01 section 19, which is that of Microsoft Graph:
//
//	{"requests": [
//		{"id": "1", "method": "GET", "url": "/users/7"},
//		{"id": "2", "method": "PATCH", "url": "/users/8", "body": {"name": "A"}, "dependsOn": ["1"]}]}
//
// The answer is 200 with {"responses": [{"id", "status", "headers", "body"}, ...]} in the same order.
// A body of a JSON type stands there as it is, if it is one JSON text; else, and if it is text/*, as a
// string; all else, and what is not UTF-8, in base64.
//
// Every part runs through the real handlers and answers as if it had come alone. It inherits the
// fields of the envelope that say who is calling, and cannot set them. Its URL cannot leave the
// directory of Path, nor the process. The envelope is checked as a whole before any part runs. A
// panic is its own part's, and a part that may have had effects is never reported as not run.
//
// # Limits
//
// A batch holds at most MaxBytes and MaxResponseBytes, and a goroutine for each part that has
// started. A scope holds MaxMemo answers a loader and is garbage with its contexts; one that is
// opened for the life of the process remembers for ever. Goroutines that are started without [Go]
// share the task of their context: batches may then leave earlier than they could. Conditions (if),
// atomicity groups and references ($1) are answered with 424 and 501, multipart/mixed with 415.
//
// # Composition
//
//   - What decides by path, method or body MUST stand inside of an Endpoint: it then sees every part.
//     What stands outside sees one POST.
//   - What decides by who is calling SHOULD stand outside, and outside of Scoped: then Fetch knows the
//     caller.
//   - A Loader whose Load stands behind a cache MUST have MaxMemo -1: what a scope remembers, or has
//     in flight, may be older than the write that made the cache forget. Without a scope no answer
//     is older than its question.
//   - Scoped SHOULD stand outside of an Endpoint. Inside, each part has a scope of its own.
//   - A transaction SHOULD open a scope of its own (WithScope), or answers from before it are
//     remembered in it. After a write, Forget.
//   - A throttle MAY stand on either side: n parts cost n. A log outside has one line, one inside has n,
//     with [Part].
//   - Compression SHOULD stand outside. A secret and what an attacker chose then share a window, as in
//     any one answer; compress.Off in a part switches it off for the envelope.
//   - http.TimeoutHandler MUST stand outside of throttle and compress, or inside of the batch: it hides
//     from parts what is around it.
package batch
