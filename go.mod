module github.com/hotpath-go/hotpath

go 1.25

require (
	github.com/andybalholm/brotli v1.2.6
	github.com/dgraph-io/ristretto/v2 v2.0.0
	github.com/klauspost/compress v1.18.2
	github.com/prometheus/client_golang v1.11.1
	github.com/prometheus/client_model v0.2.0
	golang.org/x/sync v0.1.0
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/golang/protobuf v1.4.3 // indirect
	github.com/matttproud/golang_protobuf_extensions v1.0.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/prometheus/common v0.26.0 // indirect
	github.com/prometheus/procfs v0.6.0 // indirect
	golang.org/x/sys v0.26.0 // indirect
	google.golang.org/protobuf v1.26.0-rc.1 // indirect
)
