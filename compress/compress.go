package compress

import (
	"hash/maphash"
	"net/http"
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/stat"
)

// A Compressor is the middleware that encodes responses. Make one with [New]; it is safe for
// concurrent use.
type Compressor struct {
	cfg     Config
	codings []*coding
	gzip    int // the index of the built-in gzip, or identity

	usual, event, plain func(http.Header) string // choosers, made once

	choices       seen[choice]
	types         seen[contentType]
	negotiateOne  func(line string) choice // for choices and types, made once
	contentTypeOf func(value string) contentType

	encoders atomic.Int64 // held by streamed bodies
	streams  atomic.Int64
	counters stat.Striped[counters]
}

// New returns the middleware that cfg describes. Its error joins everything that is wrong
// with cfg, one line a problem: `compress: Codings[1]: token is "BR": must be lower case`.
func New(cfg Config) (*Compressor, error) {
	cfg, codings, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Compressor{cfg: cfg, codings: codings, gzip: identity}
	for i, own := range codings {
		if own.gzip {
			c.gzip = i
		}
	}
	c.choices.seed, c.types.seed = maphash.MakeSeed(), maphash.MakeSeed()
	c.negotiateOne, c.contentTypeOf = c.negotiateLine, c.readType
	c.usual, c.event, c.plain = c.chooseUsual, c.chooseEvent, c.choosePlain
	return c, nil
}

// Handler returns next with its responses encoded as their clients like it.
func (c *Compressor) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(outer http.ResponseWriter, r *http.Request) {
		if c.cfg.Skip != nil && c.cfg.Skip(r) {
			next.ServeHTTP(outer, r)
			return
		}
		ch := c.choose(r.Header["Accept-Encoding"])
		if ch.refuse {
			// Before the handler runs: nothing is executed whose answer cannot be sent.
			field.AddVary(outer.Header(), "Accept-Encoding")
			problem.Write(outer, r, problem.Problem{
				Status: http.StatusNotAcceptable,
				Detail: "Accept-Encoding refuses identity and names no other coding.",
			})
			return
		}
		w := &writer{c: c, r: r, choice: ch, head: r.Method == http.MethodHead}
		inner := w.incoming(r)
		if inner != r {
			defer rw.CopyBack(r, inner)
		}
		w.Wrap(outer, w)
		defer w.release()
		w.Serve(w, next, inner)
	})
}

// Off keeps the response of a handler as the handler writes it: call it before the header
// is sent, for a page whose length must not tell what is in it (BREACH). In a part of a batch
// it is the whole envelope that is kept. It reports whether every Compressor around w will
// obey; false also says that there is none.
func Off(w http.ResponseWriter) bool {
	found, obeyed := false, true
	for outer := range rw.WalkOut(w) {
		if c, ok := outer.(*writer); ok {
			found = true
			obeyed = (c.mode.CompareAndSwap(open, off) || c.mode.Load() == off) && obeyed
		}
	}
	return found && obeyed
}

// acquire takes one of MaxEncoders. Nobody waits for one: who gets none does without, but for
// those who refuse identity, and they take one all the same.
func (c *Compressor) acquire(always bool) bool {
	for {
		n := c.encoders.Load()
		if n >= int64(c.cfg.MaxEncoders) && !always {
			return false
		}
		if c.encoders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *Compressor) releaseEncoder() { c.encoders.Add(-1) }
