module github.com/hotpath-go/hotpath

go 1.25

require (
	github.com/andybalholm/brotli v1.2.6
	github.com/klauspost/compress v1.18.2
	golang.org/x/sync v0.1.0
)
