package main

// A goal is one line of the table: what ours takes as a share of what theirs takes, in one run.
type goal struct {
	room, what, against string

	ours, theirs string  // benchmarks; theirs empty: ours is the figure
	base         string  // a benchmark that is taken off both: what the work costs without either
	unit         string  // as in the output of go test; empty: ns/op
	must, aim    float64 // at most
	least        bool    // at least, instead
	inverse      bool    // theirs as a share of ours: how many times faster
}

const allocs = "allocs/op"

// goals are what each package set out to reach: must is what makes it better than its peers by more
// than noise, aim what its authors think is possible.
var goals = [...]goal{
	{room: "cache", what: "hit, 64 Ki keys, Zipf", against: "otter", ours: "CacheHit/hotpath", theirs: "CacheHit/otter", must: 1.0, aim: 0.8},
	{room: "cache", what: "the same", against: "ristretto + singleflight", ours: "CacheHit/hotpath", theirs: "CacheHit/ristretto+singleflight", must: 0.70, aim: 0.45},
	{room: "cache", what: "the same", against: "RWMutex + map, no bound", ours: "CacheHit/hotpath", theirs: "CacheHit/RWMutex+map", must: 2.5, aim: 1.5},
	{room: "cache", what: "allocations of a hit", ours: "CacheHit/hotpath", unit: allocs, must: 0, aim: 0},
	{room: "cache", what: "churn, a million keys, room for 64 Ki", against: "otter", ours: "CacheChurn/hotpath", theirs: "CacheChurn/otter", must: 1.3, aim: 0.9},
	{room: "cache", what: "stampede of 256: allocations", against: "golang-lru + singleflight", ours: "Stampede/hotpath", theirs: "Stampede/golang-lru+singleflight", unit: allocs, must: 1.0, aim: 0.7},
	{room: "cache", what: "heap of 500,000 small items", against: "otter", ours: "CacheHeap/hotpath", theirs: "CacheHeap/otter", unit: "B/item", must: 1.0, aim: 0.85},
	{room: "cache", what: "hit on ristrettostore", against: "ristretto + singleflight", ours: "CacheHit/hotpath+ristrettostore", theirs: "CacheHit/ristretto+singleflight", must: 1.5, aim: 1.2},
	{room: "cache", what: "purge of a tag of a million entries", against: "of one entry", ours: "PurgeTags/1000000", theirs: "PurgeTags/1", must: 1.3, aim: 1.1},

	{room: "compress", what: "zstd, 10 KB", against: "the raw encoder", ours: "Encode/10000B/zstd/hotpath", theirs: "Encode/10000B/zstd/raw", must: 1.10, aim: 1.05},
	{room: "compress", what: "gzip, 10 KB", against: "the raw encoder", ours: "Encode/10000B/gzip/hotpath", theirs: "Encode/10000B/gzip/raw", must: 1.10, aim: 1.05},
	{room: "compress", what: "br, 10 KB", against: "the raw encoder", ours: "Encode/10000B/br/hotpath", theirs: "Encode/10000B/br/raw", must: 1.10, aim: 1.05},
	{room: "compress", what: "zstd, 0.8 KB", against: "the raw encoder", ours: "Encode/800B/zstd/hotpath", theirs: "Encode/800B/zstd/raw", must: 1.20, aim: 1.10},
	{room: "compress", what: "zstd, 100 KB", against: "gzhttp", ours: "Encode/100000B/zstd/hotpath", theirs: "Encode/100000B/zstd/gzhttp", must: 1.05, aim: 0.95},
	{room: "compress", what: "gzip, 10 KB", against: "gzhttp", ours: "Encode/10000B/gzip/hotpath", theirs: "Encode/10000B/gzip/gzhttp", must: 1.05, aim: 0.95},
	{room: "compress", what: "br, 10 KB", against: "httpcompression as it comes", ours: "Encode/10000B/br/hotpath", theirs: "Encode/10000B/br/httpcompression", must: 1. / 3, aim: 1. / 5},
	{room: "compress", what: "gzip, 10 KB", against: "chi", ours: "Encode/10000B/gzip/hotpath", theirs: "Encode/10000B/gzip/chi", must: 0.8, aim: 0.6},
	{room: "compress", what: "gzip, 10 KB", against: "echo", ours: "Encode/10000B/gzip/hotpath", theirs: "Encode/10000B/gzip/echo", must: 0.8, aim: 0.6},
	{room: "compress", what: "gzip, 10 KB", against: "gin-contrib", ours: "Encode/10000B/gzip/hotpath", theirs: "Encode/10000B/gzip/gin", must: 0.8, aim: 0.6},
	{room: "compress", what: "who accepts no coding: time added", against: "gzhttp's", ours: "Skip/identity/hotpath", theirs: "Skip/identity/gzhttp", base: "Skip/identity/bare", must: 0.6, aim: 0.25},
	{room: "compress", what: "an image: time added", against: "gzhttp's", ours: "Skip/png/hotpath", theirs: "Skip/png/gzhttp", base: "Skip/png/bare", must: 0.05, aim: 0.01},
	{room: "compress", what: "a stored body of 36 KB", against: "gzhttp over it", ours: "Hit/hotpath", theirs: "Hit/gzhttp", must: 0.1, aim: 0.05},
	{room: "compress", what: "allocations of that", ours: "Hit/hotpath", unit: allocs, must: 1, aim: 1},
	{room: "compress", what: "300 events: bytes", against: "gzip 7 in one piece", ours: "Events/hotpath", theirs: "Events/gzip7", unit: "wire-B", must: 1.21, aim: 1.10},
	{room: "compress", what: "request body, gzip", against: "the raw reader", ours: "Decompress/hotpath", theirs: "Decompress/raw", must: 1.10, aim: 1.05},

	{room: "httpcache", what: "hit, 1 KiB", against: "its lookup alone", ours: "HTTPCacheHit/1KiB/httpcache", theirs: "HTTPCacheHit/1KiB/lookup", must: 2.5, aim: 1.5},
	{room: "httpcache", what: "hit, 1 KiB", against: "stampede", ours: "HTTPCacheHit/1KiB/httpcache", theirs: "HTTPCacheHit/1KiB/stampede", must: 0.6, aim: 0.35},
	{room: "httpcache", what: "allocations of a hit", ours: "HTTPCacheHit/1KiB/httpcache", unit: allocs, must: 0, aim: 0},
	{room: "httpcache", what: "coded hit, 36 KB: times faster", against: "gzhttp encoding each", ours: "HTTPCacheCodedHit/hotpath", theirs: "HTTPCacheCodedHit/gzhttp", inverse: true, least: true, must: 10, aim: 20},
	{room: "httpcache", what: "allocations of what may not be stored", ours: "HTTPCacheUncacheable/httpcache", unit: allocs, must: 2, aim: 1},
	{room: "httpcache", what: "memory that it says", against: "heap", ours: "HTTPCacheHeap", unit: "said/heap", must: 1.15, aim: 1.08},
	{room: "httpcache", what: "purge of a tag of a million entries", against: "of a thousand", ours: "HTTPCachePurgeTags/1000000", theirs: "HTTPCachePurgeTags/1000", must: 1.3, aim: 1.1},

	{room: "throttle", what: "Take, one key", against: "go-limiter", ours: "Take/keys=1/hotpath", theirs: "Take/keys=1/go-limiter", must: 0.80, aim: 0.60},
	{room: "throttle", what: "Take, 1,024 keys", against: "go-limiter", ours: "Take/keys=1024/hotpath", theirs: "Take/keys=1024/go-limiter", must: 0.90, aim: 0.65},
	{room: "throttle", what: "Take, a million keys", against: "go-limiter", ours: "Take/keys=1000000/hotpath", theirs: "Take/keys=1000000/go-limiter", must: 0.50, aim: 0.33},
	{room: "throttle", what: "Take, one key", against: "x/time/rate in a map", ours: "Take/keys=1/hotpath", theirs: "Take/keys=1/x-time", must: 0.75, aim: 0.55},
	{room: "throttle", what: "Take, a million keys", against: "x/time/rate in a map", ours: "Take/keys=1000000/hotpath", theirs: "Take/keys=1000000/x-time", must: 0.45, aim: 0.28},
	{room: "throttle", what: "Take, one key", against: "throttled", ours: "Take/keys=1/hotpath", theirs: "Take/keys=1/throttled", must: 0.65, aim: 0.50},
	{room: "throttle", what: "Take, two goroutines", against: "go-limiter", ours: "TakeParallel/hotpath", theirs: "TakeParallel/go-limiter", must: 0.85, aim: 0.60},
	{room: "throttle", what: "Take, refused", against: "go-limiter", ours: "TakeRefused/hotpath", theirs: "TakeRefused/go-limiter", must: 0.80, aim: 0.55},
	{room: "throttle", what: "three policies at once", against: "three go-limiters", ours: "TakeThree/keys=1/hotpath", theirs: "TakeThree/keys=1/go-limiter", must: 0.55, aim: 0.40},
	{room: "throttle", what: "allocations of Take", ours: "Take/keys=1/hotpath", unit: allocs, must: 0, aim: 0},
	{room: "throttle", what: "Handler, allowed", against: "throttled", ours: "ThrottleHandler/hotpath", theirs: "ThrottleHandler/throttled", must: 0.45, aim: 0.32},
	{room: "throttle", what: "Handler, allowed", against: "httprate", ours: "ThrottleHandler/hotpath", theirs: "ThrottleHandler/httprate", must: 0.40, aim: 0.27},
	{room: "throttle", what: "its allocations", ours: "ThrottleHandler/hotpath", unit: allocs, must: 2, aim: 1},
	{room: "throttle", what: "Handler, refused", against: "throttled", ours: "ThrottleRefused/hotpath", theirs: "ThrottleRefused/throttled", must: 0.65, aim: 0.45},
	{room: "throttle", what: "address behind 20,000 hops", against: "behind 64", ours: "ClientAddr/20000", theirs: "ClientAddr/64", must: 1.2, aim: 1.05},

	{room: "rediscache", what: "a hit in memory", against: "without a Remote", ours: "Redis_Hit/with", theirs: "Redis_Hit/without", must: 1.5, aim: 1.1},
	{room: "rediscache", what: "a shared value", against: "a plain GET", ours: "Redis_SharedHit/hotpath/tags=0", theirs: "Redis_SharedHit/GET", must: 2.5, aim: 1.5},
	{room: "rediscache", what: "trips of a cold key", ours: "Redis_Miss/hotpath", unit: "trips/op", must: 2, aim: 2},
	{room: "rediscache", what: "trips of 100 cold keys by GetMany", ours: "Redis_Miss/hotpath/100_by_GetMany", unit: "trips/op", must: 2, aim: 2},

	{room: "redisthrottle", what: "a decision, 64 goroutines", against: "redis_rate", ours: "Redis/policies=1/hotpath", theirs: "Redis/policies=1/redis_rate", must: 1.0, aim: 0.75},
	{room: "redisthrottle", what: "three policies at once", against: "three calls of redis_rate", ours: "Redis/policies=3/hotpath", theirs: "Redis/policies=3/redis_rate", must: 0.50, aim: 0.35},
	{room: "redisthrottle", what: "with leases, 100 keys", against: "redis_rate", ours: "Redis/leases/hotpath", theirs: "Redis/policies=1/redis_rate", must: 0.1, aim: 0.02},
	{room: "redisthrottle", what: "trips a decision", ours: "Redis/leases/hotpath", unit: "trips/op", must: 0.10, aim: 0.02},
	{room: "redisthrottle", what: "Redis hangs, the breaker is open", against: "a local Take", ours: "RedisStopped/stopped", theirs: "RedisStopped/local", must: 3, aim: 2},

	{room: "batch", what: "lonely load: times faster", against: "dataloadgen", ours: "LoaderLonely/hotpath", theirs: "LoaderLonely/dataloadgen-default", inverse: true, least: true, must: 4000, aim: 8000},
	{room: "batch", what: "the same", against: "its shortest window", ours: "LoaderLonely/hotpath", theirs: "LoaderLonely/dataloadgen-100µs", inverse: true, least: true, must: 300, aim: 600},
	{room: "batch", what: "its allocations", ours: "LoaderLonely/hotpath", unit: allocs, must: 4, aim: 3},
	{room: "batch", what: "remembered answer", against: "dataloadgen", ours: "LoaderRemembered/hotpath", theirs: "LoaderRemembered/dataloadgen", must: 1.5, aim: 0.8},
	{room: "batch", what: "20 parts in process", against: "a hand-written handler", ours: "BatchParts/20/hotpath", theirs: "BatchParts/20/hand-written", must: 0.65, aim: 0.45},
	{room: "batch", what: "its allocations", ours: "BatchParts/20/hotpath", unit: allocs, must: 280, aim: 230},
	{room: "batch", what: "reading an envelope", against: "encoding/json", ours: "BatchScan/hotpath", theirs: "BatchScan/encoding-json", must: 0.5, aim: 0.25},
	{room: "batch", what: "20 parts over loopback: times faster", against: "20 requests, one connection", ours: "BatchLoopback/one-envelope", theirs: "BatchLoopback/20-GETs", inverse: true, least: true, must: 4, aim: 6},
	{room: "batch", what: "the same", against: "20 requests, six connections", ours: "BatchLoopback/one-envelope", theirs: "BatchLoopback/20-GETs-on-six-connections", inverse: true, least: true, must: 2, aim: 3},

	{room: "partial", what: "three fields of a list: times faster", against: "decode, cut, encode", ours: "Partial_Append/list/hotpath", theirs: "Partial_Append/list/any", inverse: true, least: true, must: 14, aim: 22},
	{room: "partial", what: "the same", against: "fastjson", ours: "Partial_Append/list/hotpath", theirs: "Partial_Append/list/fastjson", inverse: true, least: true, must: 1.5, aim: 2.2},
	{room: "partial", what: "the same", against: "jsontext", ours: "Partial_Append/list/hotpath", theirs: "Partial_Append/list/jsontext", inverse: true, least: true, must: 2.7, aim: 4},
	{room: "partial", what: "the same", against: "gjson", ours: "Partial_Append/list/hotpath", theirs: "Partial_Append/list/gjson", inverse: true, least: true, must: 3.5, aim: 5},
	{room: "partial", what: "under 1 % kept", against: "gjson", ours: "Partial_Append/under_1_percent/hotpath", theirs: "Partial_Append/under_1_percent/gjson", inverse: true, least: true, must: 1.2, aim: 1.6},
	{room: "partial", what: "one object of 500 bytes", against: "fastjson", ours: "Partial_Append/one_object/hotpath", theirs: "Partial_Append/one_object/fastjson", inverse: true, least: true, must: 1.5, aim: 2.2},
	{room: "partial", what: "allocations", ours: "Partial_Append/list/hotpath", unit: allocs, must: 0, aim: 0},
	{room: "partial", what: "cut, then gzip", against: "gzip of everything", ours: "Partial_ThenGzip/cut", theirs: "Partial_ThenGzip/everything", must: 1. / 6, aim: 1. / 9},

	{room: "pool", what: "Go and run, one producer", against: "pond", ours: "Pool/1/hotpath", theirs: "Pool/1/pond", must: 0.9, aim: 0.8},
	{room: "pool", what: "Go and run, 64 producers", against: "pond", ours: "Pool/64/hotpath", theirs: "Pool/64/pond", must: 0.9, aim: 0.8},
	{room: "pool", what: "the same", against: "a channel of 1,024", ours: "Pool/64/hotpath", theirs: "Pool/64/channel", must: 1.3, aim: 1.0},
	{room: "pool", what: "the same", against: "gopool", ours: "Pool/64/hotpath", theirs: "Pool/64/gopool", must: 0.6, aim: 0.5},
	{room: "pool", what: "the same", against: "ants", ours: "Pool/64/hotpath", theirs: "Pool/64/ants", must: 0.2, aim: 0.1},
	{room: "pool", what: "the same", against: "conc", ours: "Pool/64/hotpath", theirs: "Pool/64/conc", must: 0.3, aim: 0.2},
	{room: "pool", what: "Submit and Wait", against: "goroutine + channel", ours: "PoolWait/hotpath", theirs: "PoolWait/channel", must: 1.7, aim: 1.3},
	{room: "pool", what: "the same", against: "pond", ours: "PoolWait/hotpath", theirs: "PoolWait/pond", must: 0.25, aim: 0.2},
	{room: "pool", what: "Stream of 1,000", against: "conc", ours: "PoolStream/hotpath", theirs: "PoolStream/conc", must: 0.4, aim: 0.15},
	{room: "pool", what: "Map of 1,000", against: "goroutines and an atomic index", ours: "PoolMap/hotpath", theirs: "PoolMap/atomic-index", must: 1.15, aim: 1.05},
	{room: "pool", what: "burst of 100,000: the caller is held", against: "pond", ours: "PoolBurst/hotpath", theirs: "PoolBurst/pond", unit: "held-ns/op", must: 0.5, aim: 0.3},
	{room: "pool", what: "the same, all of it", against: "pond", ours: "PoolBurst/hotpath", theirs: "PoolBurst/pond", must: 1.0, aim: 0.95},
	{room: "pool", what: "an idle worker begins", against: "go statement", ours: "PoolDispatch/hotpath", theirs: "PoolDispatch/go-statement", unit: "dispatch-ns/op", must: 1.2, aim: 1.0},
	{room: "bulkhead", what: "in and out, nothing kept", against: "chi's Throttle", ours: "Bulkhead/in_and_out/hotpath,_Buffer_-1", theirs: "Bulkhead/in_and_out/chi_Throttle", must: 0.3, aim: 0.15},
	{room: "bulkhead", what: "the same", against: "failsafe-go", ours: "Bulkhead/in_and_out/hotpath,_Buffer_-1", theirs: "Bulkhead/in_and_out/failsafe-go", must: 0.05, aim: 0.02},
	{room: "bulkhead", what: "refused", against: "http.Error", ours: "Bulkhead/refused/hotpath", theirs: "Bulkhead/refused/http.Error", must: 1.0, aim: 0.6},

	{room: "metrics", what: "Handler: time added", against: "promhttp's four wrappers", ours: "Measured/hotpath", theirs: "Measured/promhttp", base: "Measured/bare", must: 0.15, aim: 0.08},
	{room: "metrics", what: "a counter", against: "one atomic add", ours: "Count/hotpath/serial", theirs: "Count/one_atomic/serial", must: 1.5, aim: 1.2},
	{room: "metrics", what: "the same, on all cores", against: "one atomic add", ours: "Count/hotpath/parallel", theirs: "Count/one_atomic/parallel", must: 0.8, aim: 0.5},
	{room: "metrics", what: "a histogram", against: "client_golang, native", ours: "Observe/hotpath/serial", theirs: "Observe/client_golang_native/serial", must: 0.4, aim: 0.25},
	{room: "metrics", what: "a scrape of 1,000 series", against: "CounterVec", ours: "Scrape/fields/hotpath", theirs: "Scrape/fields/CounterVec", must: 1.5, aim: 1.0},

	{room: "all", what: "a hit through every layer, loopback: throughput", against: "a constant handler", ours: "Stack/hotpath", theirs: "Stack/constant", inverse: true, least: true, must: 0.85, aim: 0.97},
	{room: "all", what: "the same", against: "httprate, gzhttp, stampede, chi.Throttle", ours: "Stack/hotpath", theirs: "Stack/others", inverse: true, least: true, must: 1.0, aim: 1.2},
}
