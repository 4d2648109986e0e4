module github.com/hotpath-go/hotpath/bench

go 1.26.0

require (
	github.com/Yiling-J/theine-go v0.6.1
	github.com/dgraph-io/ristretto/v2 v2.4.2
	github.com/felixge/httpsnoop v1.1.0
	github.com/hashicorp/golang-lru/v2 v2.0.7
	github.com/hotpath-go/hotpath v0.0.0
	github.com/maypok86/otter/v2 v2.4.0
	golang.org/x/sync v0.24.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/klauspost/cpuid/v2 v2.0.9 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	github.com/zeebo/xxh3 v1.0.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.36.0 // indirect
)

replace github.com/hotpath-go/hotpath => ../
