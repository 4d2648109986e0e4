// Package redisthrottle keeps the buckets of package throttle on a Redis or Valkey server, so that
// many processes share one limit.
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer client.Close()
//	store, err := redisthrottle.New(redisthrottle.Config{Client: client})
//	if err != nil {
//		log.Fatal(err)
//	}
//	limit, err := throttle.New(throttle.Config{Rate: throttle.Per(100, time.Minute), Remote: store, Nodes: 3})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe(":8080", limit.Handler(mux)))
//
// rueidis.NewClient is the one step that needs the server: a service that begins together with it
// tries that again until it is there.
//
// # Guarantees
//
// A decision is one call of one script, whatever the number of policies; on a Cluster one for each
// distinct key, all at once. The server's clock decides, so those of the processes need not agree. A
// bucket is whole numbers, microseconds and n-ths of one: it is exact for the rates for which package
// throttle is. It expires when it is full; a refusal writes nothing. The script touches the keys that it
// is given and no others. Whoever a client is is not to be found in the server, if there is a Secret.
//
// A call that was given up is never made again: it may have been run, and then its tokens are spent.
//
// Changing a Rate or Burst keeps what is owed, in tokens. Processes that are not configured alike
// convert it to and fro, rounded up.
//
// # Limits
//
// What a failover loses, or FLUSHALL, is one more Burst; what clients had tokens for ahead is spent
// besides, for as long as a Lease. On a Cluster a decision by several keys is not one moment: another
// may see tokens that are about to go back, and is refused.
//
// The client connects again within a second or not at all, for that is how long throttle asks for the
// server behind its requests. Dialer.Timeout and ConnWriteTimeout of rueidis bound what is left.
//
// The server needs to be Redis 6.2 or newer, or Valkey, and the user of the client these commands:
// EVAL, EVALSHA, TIME, GET, SET, DEL.
//
// # Composition
//
//   - Buckets SHOULD have a server, or a Prefix, of their own: a key that the server evicts is a full
//     bucket, and so is one under which somebody else has stored something, until it is written over. Its maxmemory-policy SHOULD be noeviction or volatile-ttl.
//   - All processes of a limit MUST have the same Prefix and Secret, and names of policies.
package redisthrottle
