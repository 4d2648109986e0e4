package rw

import "sync"

// A Buffer is a pooled slice of bytes.
type Buffer struct {
	B []byte
}

// sizes of pooled buffers: a small answer, what one Write of a proxy brings, what compress
// may hold before it decides.
const (
	smallBuffer  = 4 << 10
	mediumBuffer = 16 << 10
	largeBuffer  = 64 << 10
)

var (
	smallBuffers  = sync.Pool{New: func() any { return &Buffer{make([]byte, 0, smallBuffer)} }}
	mediumBuffers = sync.Pool{New: func() any { return &Buffer{make([]byte, 0, mediumBuffer)} }}
	largeBuffers  = sync.Pool{New: func() any { return &Buffer{make([]byte, 0, largeBuffer)} }}
)

// GetBuffer returns a Buffer whose B is empty and has room for n bytes, at least 4, 16 or 64
// KiB; above 64 KiB it is not pooled.
func GetBuffer(n int) *Buffer {
	switch {
	case n <= smallBuffer:
		return smallBuffers.Get().(*Buffer)
	case n <= mediumBuffer:
		return mediumBuffers.Get().(*Buffer)
	case n <= largeBuffer:
		return largeBuffers.Get().(*Buffer)
	}
	return &Buffer{make([]byte, 0, n)}
}

// Put gives b back; nothing of b.B may be used after it. A slice that has grown to another
// size is left to the collector.
func (b *Buffer) Put() {
	b.B = b.B[:0]
	switch cap(b.B) {
	case smallBuffer:
		smallBuffers.Put(b)
	case mediumBuffer:
		mediumBuffers.Put(b)
	case largeBuffer:
		largeBuffers.Put(b)
	}
}
