//go:build race

package main

// SQLite in Go is twenty times slower under the race detector. What is exact stays exact.
const (
	slow          = true
	oracleActions = 300
	alikeActions  = 60
)
