package ristrettostore

import "github.com/hotpath-go/hotpath/cache"

// A window is the queue of the newest entries.
type window[K comparable, V any] struct {
	root  node[K, V] // of the ring: root.next is the oldest
	items int
	bytes int64
}

type node[K comparable, V any] struct {
	entry      *cache.Entry[K, V]
	hash       uint64
	prev, next *node[K, V]
}

func (w *window[K, V]) clear() {
	w.root.prev, w.root.next = &w.root, &w.root
	w.items, w.bytes = 0, 0
}

func (w *window[K, V]) oldest() *node[K, V] { return w.root.next }

func (w *window[K, V]) push(n *node[K, V]) {
	n.prev, n.next = w.root.prev, &w.root
	n.prev.next, n.next.prev = n, n
	w.items++
	w.bytes += charge(n.entry)
}

func (w *window[K, V]) remove(n *node[K, V]) {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
	w.items--
	w.bytes -= charge(n.entry)
}
