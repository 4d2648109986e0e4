package compress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/stat"
)

// DecompressorConfig of a Decompressor. The zero value is ready to use.
type DecompressorConfig struct {
	// MaxBytes is how many decoded bytes a request body may have, and each of its layers
	// where two codings were applied. 0: 8 MiB. There is no "unlimited": a few KiB on the wire
	// can decode to gigabytes.
	MaxBytes int64
}

const (
	defaultMaxBytes = 8 << 20
	maxLayers       = 2 // a body that was encoded by two hops; more is an attack
)

// A Decompressor is the middleware that decodes request bodies in gzip, zstd and br. Make one
// with [NewDecompressor]; it is safe for concurrent use.
type Decompressor struct {
	maxBytes int64
	pools    [len(decoders)]sync.Pool
	counters stat.Striped[requestCounters]
}

type requestCounters struct {
	requests          [len(decoders)]atomic.Uint64
	coding, tooLarge  atomic.Uint64
	corrupt           atomic.Uint64
	inBytes, outBytes atomic.Uint64
}

// NewDecompressor returns the middleware that cfg describes, or says what is wrong with it:
// `compress: MaxBytes is -1: must be at least 1 (0 means 8 MiB)`.
func NewDecompressor(cfg DecompressorConfig) (*Decompressor, error) {
	if cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("compress: MaxBytes is %d: must be at least 1 (0 means 8 MiB)", cfg.MaxBytes)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	return &Decompressor{maxBytes: cfg.MaxBytes}, nil
}

// Handler returns next with its request bodies decoded. A coding that it does not know is
// answered with 415 (RFC 9110 section 15.5.16). A body that is too large fails to be read with
// *http.MaxBytesError, and one that is cut with io.ErrUnexpectedEOF.
func (d *Decompressor) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := r.Header["Content-Encoding"]
		if len(lines) == 0 || isIdentity(lines) {
			next.ServeHTTP(w, r)
			return
		}
		b := &body{d: d, wire: r.Body}
		if !b.plan(lines) {
			d.counters.Here().coding.Add(1)
			h := w.Header()
			h["Accept-Encoding"] = []string{"zstd, br, gzip"} // RFC 9110 section 12.5.3: in a 415, what to send
			problem.Write(w, r, problem.Problem{
				Status: http.StatusUnsupportedMediaType,
				Detail: "The Content-Encoding of the request is not supported.",
			})
			return
		}
		inner := r.WithContext(r.Context())
		inner.Header = make(http.Header, len(r.Header))
		for name, values := range r.Header {
			inner.Header[name] = values
		}
		delete(inner.Header, "Content-Encoding")
		delete(inner.Header, "Content-Length")
		field.DropDigests(inner.Header)
		inner.ContentLength, inner.Body = -1, b
		n := d.counters.Here()
		for _, index := range b.codings[:b.count] {
			n.requests[index].Add(1)
		}
		defer rw.CopyBack(r, inner)
		defer b.finish()
		next.ServeHTTP(w, inner)
	})
}

// body is a request body that decodes as it is read. No decoder is taken before that, so
// that who refuses by the header pays nothing and Expect: 100-continue stays unanswered.
type body struct {
	d       *Decompressor
	wire    io.ReadCloser
	codings [maxLayers]int8 // in the order of undoing
	count   int

	mu      sync.Mutex // held by Read: finish may meet it on a goroutine that was left behind
	layers  [maxLayers]layer
	started bool
	out     int64
	err     error
	closed  atomic.Bool
}

// plan reads the codings, the last applied one last, and reports whether all are known.
func (b *body) plan(lines []string) bool {
	for member := range field.Members(lines) {
		if strings.EqualFold(member, "identity") {
			continue
		}
		if strings.EqualFold(member, "x-gzip") {
			member = "gzip"
		}
		index := -1
		for i, dec := range decoders {
			if strings.EqualFold(member, dec.token) {
				index = i
			}
		}
		if index < 0 || b.count == maxLayers {
			return false
		}
		b.codings[1], b.codings[0] = b.codings[0], int8(index)
		b.count++
	}
	return true
}

// Read gives decoded bytes.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.err != nil {
		return 0, b.err
	}
	if !b.started {
		if b.err = b.start(); b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.layers[b.count-1].Read(p)
	b.out += int64(n)
	if err != nil {
		b.err = b.final(err)
	}
	return n, b.err
}

func (b *body) start() error {
	b.started = true
	var src io.Reader = b.wire
	for i, index := range b.codings[:b.count] {
		if err := b.layers[i].open(&b.d.pools[index], src, index, b.d.maxBytes); err != nil {
			return err
		}
		src = &b.layers[i]
	}
	return nil
}

// final counts the end of the body and names it.
func (b *body) final(err error) error {
	if err == io.EOF {
		return err
	}
	n := b.d.counters.Here()
	switch {
	case errors.Is(err, errTooLarge):
		n.tooLarge.Add(1)
		return &http.MaxBytesError{Limit: b.d.maxBytes}
	case b.layers[0].src.err == nil: // else the connection failed, or an outer limit
		n.corrupt.Add(1)
	}
	return err
}

// Close gives the decoders back and closes the body on the wire.
func (b *body) Close() error {
	b.finish()
	return b.wire.Close()
}

// finish gives the decoders back. If another goroutine is in Read they are left to the
// collector.
func (b *body) finish() {
	if b.closed.Swap(true) || !b.mu.TryLock() {
		return
	}
	defer b.mu.Unlock()
	if !b.started {
		return
	}
	n := b.d.counters.Here()
	n.inBytes.Add(uint64(b.layers[0].src.total))
	n.outBytes.Add(uint64(b.out))
	for i, index := range b.codings[:b.count] {
		b.layers[i].close(&b.d.pools[index])
	}
}

// DecompressorStats is a snapshot of what a Decompressor has done since it was made.
type DecompressorStats struct {
	Requests map[string]uint64 `metric:"hotpath_compress_requests_total" label:"coding" help:"Requests with a coded body, by coding; one with two codings counts for both."`
	Refused  map[string]uint64 `metric:"hotpath_compress_requests_refused_total" label:"reason" help:"Request bodies refused: unknown coding, too large, corrupt."`
	InBytes  uint64            `metric:"hotpath_compress_request_in_bytes_total" help:"Coded bytes read."`
	OutBytes uint64            `metric:"hotpath_compress_request_out_bytes_total" help:"Decoded bytes given to handlers."`
}

// Stats returns the counters. It may be called at any rate.
func (d *Decompressor) Stats() DecompressorStats {
	s := DecompressorStats{Requests: map[string]uint64{}, Refused: map[string]uint64{}}
	for n := range d.counters.Each() {
		for i, dec := range decoders {
			s.Requests[dec.token] += n.requests[i].Load()
		}
		s.Refused["coding"] += n.coding.Load()
		s.Refused["too_large"] += n.tooLarge.Load()
		s.Refused["corrupt"] += n.corrupt.Load()
		s.InBytes += n.inBytes.Load()
		s.OutBytes += n.outBytes.Load()
	}
	return s
}
