// Package flight coalesces work by key: of all who ask for a key at once, one does the work and
// the others wait for it. It differs from golang.org/x/sync/singleflight in what caches need:
//
//   - Nobody's cancellation is felt by anybody else. The work runs under a [Shared] context,
//     which ends when the last who waits has left.
//   - A write detaches what is under way ([Group.Write]): those who wait get its result, nobody
//     else does, and it is not stored.
//   - Looking and storing happen under the key's lock ([Ops]), so that the history of one key
//     is linear on any store.
//   - A key that needs itself is an error and not a deadlock.
package flight
