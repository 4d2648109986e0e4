module github.com/hotpath-go/hotpath/examples

go 1.26
