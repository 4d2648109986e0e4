package partial

import "sync"

// A chunk is a pooled buffer.
type chunk struct{ b []byte }

// What answers hold is in chunks; whole documents have buffers of their own, or each small answer would
// hold one that a large document has left.
var (
	chunks    = sync.Pool{New: func() any { return &chunk{make([]byte, 0, chunkSize)} }}
	documents = sync.Pool{New: func() any { return &chunk{make([]byte, 0, chunkSize)} }}
)

const (
	keptChunk    = 64 << 10 // larger ones do not go back to the pool
	keptDocument = 1 << 20
)

func (c *chunk) put() {
	if cap(c.b) <= keptChunk {
		c.b = c.b[:0]
		chunks.Put(c)
	}
}

func (c *chunk) putDocument() {
	if cap(c.b) <= keptDocument {
		c.b = c.b[:0]
		documents.Put(c)
	}
}
