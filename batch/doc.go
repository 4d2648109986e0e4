// Package batch answers many in one.
package batch
