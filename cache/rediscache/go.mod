module github.com/hotpath-go/hotpath/cache/rediscache

go 1.25.0

require (
	github.com/hotpath-go/hotpath v0.0.0
	github.com/redis/rueidis v1.0.79
	golang.org/x/sync v0.1.0
)

require golang.org/x/sys v0.47.0 // indirect

replace github.com/hotpath-go/hotpath => ../..
