//go:build !race

package main

const (
	oracleActions = 3_000
	alikeActions  = 400
)
