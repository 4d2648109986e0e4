// Package bench does the same work with hotpath and with its peers, side by side in one
// process: a ratio in one run counts, an absolute time does not. It is a module of its own, so
// that no peer becomes a dependency of the library.
package bench
