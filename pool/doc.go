// Package pool runs work that nobody waits for: bounded, in order, and not lost at a deploy.
//
//	jobs, err := pool.New(pool.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	http.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
//		order := place(r)
//		if err := jobs.TryGo(r.Context(), order.SendMail); err != nil { // Go would wait for room
//			http.Error(w, "try again", http.StatusServiceUnavailable)
//			return
//		}
//		w.WriteHeader(http.StatusCreated)
//	})
//	// ... at the end, after srv.Shutdown has returned:
//	if err := jobs.Close(ctx); err != nil {
//		log.Print(err) // a *CloseError names every task that did not run to its end
//	}
//
// A bare go statement has no bound, ends the process when it panics, and is cut by every deploy
// (golang/go#32116).
//
// # Two rules for contexts
//
// A task of [Pool.Go] and [Pool.After] is detached: it sees the values of the caller's context and
// not its end, for a task that r.Context() cancels when the handler returns is the commonest bug
// with pools. A task of [Submit], [Map] and [Stream] is attached: work that its asker has left is
// wasted.
//
// # Guarantees
//
// A task that was accepted (a nil error) runs exactly once or is named by Close; one that was not
// never runs. Never more than Workers tasks run at a time. Tasks start in the order accepted, but
// for those that their waiters run, and submitters that wait for room are served in order.
//
// In a task, under its context, nothing can deadlock: Go does not wait for room, Submit runs its
// function in place if there is none, Wait runs what nobody has begun, Close does not wait for
// its caller. One worker is enough.
//
// A panic ends one task: the process lives, the worker too, and who waits gets a [PanicError].
// runtime.Goexit is the same.
//
// # Limits
//
// Work lives in memory: it does not survive the process. A task that ignores its context keeps
// its worker; Stats.Overdue tells. A task under a foreign context, such as context.Background,
// is not seen as one: its Wait just waits, and its Close names it as running. A goroutine that a
// task started and whose Wait helps, under the context of that task, runs beside it: who fans out in
// a task by hand has so much more than Workers at a time. Go cannot tell goroutines apart, and to
// forbid it would hang tasks that wait for each other. [Map] keeps the bound. Once a task has ended its
// context is no task's; but tasks of Go that came with context.Background share the context of their
// worker, which costs nothing and is that of the task which the worker runs at the time: do not keep it.
//
// A task keeps the values of its caller, credentials among them, for as long as it waits: use
// context.Background() for what needs none.
//
// # Composition
//
//   - Handler stands anywhere outside of who calls After; in parts of a batch After waits for the
//     whole batch.
//   - The order at the end: readiness off, srv.Shutdown, Pool.Close, then databases. Close waits for
//     the requests inside Handler, so closing the pool first loses nothing either.
//   - To bound requests and not tasks take package pool/bulkhead.
package pool
