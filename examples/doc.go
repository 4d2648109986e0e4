// Package examples holds whole programs, one to a folder, in a module of its own: what they
// need never becomes a dependency of the library.
package examples
