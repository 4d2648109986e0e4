module github.com/hotpath-go/hotpath

go 1.25

require golang.org/x/sync v0.1.0
