package partial

import "sync"

// A chunk is a pooled buffer.
type chunk struct{ b []byte }

// keptChunk is the largest buffer that goes back to the pool.
const keptChunk = 1 << 20

var chunks = sync.Pool{New: func() any { return &chunk{make([]byte, 0, chunkSize)} }}

func (c *chunk) put() {
	if cap(c.b) <= keptChunk {
		c.b = c.b[:0]
		chunks.Put(c)
	}
}
