package main

// A technique is one that articles about faster services recommend, and where the shop has it.
type technique struct {
	name  string
	where string
	room  string // package of hotpath; empty: none is needed
	proof string // test that shows it without a clock, by its directory in the repository
}

// techniques are those of "API Performance Optimization" and "How I Optimized REST APIs by 40 %".
var techniques = [...]technique{
	{"needed columns instead of SELECT *", "tuned.go", "", "examples/shop TestColumns"},
	{"indexes, composite indexes", "tuned.go", "", "examples/shop TestQueryPlans"},
	{"complex queries refactored, N+1 gone", "tuned.go", "", "examples/shop TestQueriesPerAction"},
	{"query batching", "batch.go", "batch", "examples/shop TestQueriesPerAction"},
	{"connection pooling, reuse", "store.go", "", "examples/shop TestConnections"},
	{"query results cached", "after.go", "cache, cache/ristrettostore", "examples/shop TestOracle"},
	{"many misses, one load", "after.go", "cache", "examples/shop TestHundredMissesAreOneLoad"},
	{"answers cached, and invalidated", "after.go", "cache/httpcache", "examples/shop TestR9_NoStaleReads"},
	{"revalidation", "after.go", "cache/httpcache", "examples/shop TestAnswersRevalidate"},
	{"compression", "after.go", "compress", "examples/shop TestFormsAreMadeOnce"},
	{"partial responses", "partial.go", "partial", "examples/shop TestPartial_ProjectionEquality"},
	{"... down to the database", "partial.go", "partial", "examples/shop TestPartial_PushDown"},
	{"faster JSON: encoded at a miss only", "after.go", "cache", "examples/shop TestFormsAreMadeOnce"},
	{"batch requests", "batch.go", "batch", "examples/shop TestR8_VariantsAreAlike"},
	{"asynchronous work", "background.go", "pool", "examples/shop TestBackground_SideWorkOfOrders"},
	{"concurrent instead of one by one", "batch.go", "batch", "examples/shop TestPartsRunTogether"},
	{"heaps, O(n log k)", "tuned.go", "", "examples/shop TestBest"},
	{"throttling of heavy consumers", "fair.go", "throttle", "examples/shop TestFair_ExactAcceptance"},
	{"resource limits", "background.go", "pool/bulkhead", "examples/shop TestNoMoreQueriesThanConnections"},
	{"Prometheus, Grafana", "admin.go", "metrics", "examples/grafana TestPrometheus"},
	{"load testing", "../internal/load", "", "examples/internal/load TestStall"},
	{"Redis, a distributed cache", "redis.go", "cache/rediscache", "examples/shop TestRedis_OneLoad"},
	{"another database", "postgres.go", "", "examples/shop TestPostgres"},
}

func coverageRows() [][]string {
	rows := [][]string{{"technique", "where", "package", "shown by"}}
	for _, t := range techniques {
		rows = append(rows, []string{t.name, t.where, t.room, t.proof})
	}
	return rows
}
