module github.com/hotpath-go/hotpath/bench

go 1.26

require (
	github.com/felixge/httpsnoop v1.1.0
	github.com/hotpath-go/hotpath v0.0.0
)

replace github.com/hotpath-go/hotpath => ../
