module github.com/hotpath-go/hotpath

go 1.25

require (
	github.com/dgraph-io/ristretto/v2 v2.0.0
	golang.org/x/sync v0.1.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	golang.org/x/sys v0.36.0 // indirect
)
