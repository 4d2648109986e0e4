module github.com/hotpath-go/hotpath

go 1.25
