//go:build !linux

package main

import "testing"

func checkAffinity(*testing.T, Cores, int) {}
