//go:build !race

package main

const (
	slow          = false
	oracleActions = 3_000
	alikeActions  = 400
)
