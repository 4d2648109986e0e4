// Package stacktest checks what must hold for any stack of middleware, ours and foreign, in
// any order: a client gets what the bare handler sends, tags revalidate, what is cut looks
// cut. It has tests only; each middleware joins it as it is made.
package stacktest
