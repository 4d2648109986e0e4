package partial

import (
	"context"
	"net/http"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/stat"
)

// A Filter is the middleware that cuts answers to the fields their clients ask for. Make one
// with [New]; it is safe for concurrent use.
type Filter struct {
	cfg      Config
	counters stat.Striped[counters]
}

// New returns the middleware that cfg describes. Its error joins everything that is wrong with
// cfg, one line a field: `partial: MaxDepth is 300: must be 1 to 255 (0 means 32)`.
func New(cfg Config) (*Filter, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Filter{cfg: cfg}, nil
}

// FromContext returns the mask that the answer to a request will be cut to, for loading and
// encoding no more than that; nil: everything is needed. It is nil inside of a cache too, which
// must store the whole document.
func FromContext(ctx context.Context) *Mask {
	if p := rw.Masked(ctx); p != nil {
		m, _ := p.Mask.(*Mask)
		return m
	}
	return nil
}

// Handler returns next with its JSON answers cut to what their requests ask for.
func (f *Filter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(outer http.ResponseWriter, r *http.Request) {
		m, rest, err := f.read(r)
		switch {
		case err != nil:
			f.refuse(outer, r, err)
		case m == nil || rw.Masked(r.Context()) != nil:
			f.count(plain)
			if field.HasMaskTags(r.Header) {
				serveRestored(outer, r, next)
				return
			}
			next.ServeHTTP(outer, r)
		default:
			f.serve(outer, r, next, m, rest)
		}
	})
}

// read returns the mask that r asks for, and its query without it.
func (f *Filter) read(r *http.Request) (m *Mask, rest string, err *MaskError) {
	query := r.URL.RawQuery
	// A 400 to a CORS preflight would hide its reason; CONNECT has no answer to cut.
	if query == "" || r.Method == http.MethodOptions || r.Method == http.MethodConnect {
		return nil, query, nil
	}
	values, rest, err := asked(query, f.cfg.Param, f.cfg.MaxLength)
	if err == nil && len(values) > 0 {
		m, err = parseAll(limits{f.cfg.MaxLength, f.cfg.MaxDepth, f.cfg.MaxNames}, f.cfg.Allow, values)
	}
	return m, rest, err
}

func (f *Filter) refuse(w http.ResponseWriter, r *http.Request, e *MaskError) {
	f.count(refused)
	more := []problem.Member{{Name: "parameter", Value: f.cfg.Param}, {Name: "position", Value: e.Pos}}
	if e.Field != "" {
		more = append(more, problem.Member{Name: "field", Value: clip(e.Field)})
	}
	if e.Hint != "" {
		more = append(more, problem.Member{Name: "suggestion", Value: e.Hint})
	}
	problem.Write(w, r, problem.Problem{Status: http.StatusBadRequest, Detail: e.detail(), More: more})
}

// serveRestored passes on an update of what was read with a mask.
func serveRestored(w http.ResponseWriter, r *http.Request, next http.Handler) {
	inner := r.WithContext(r.Context())
	inner.Header = copied(r.Header)
	field.CutMaskTags(inner.Header)
	defer rw.CopyBack(r, inner)
	next.ServeHTTP(w, inner)
}

// copied is a map of its own with the lines of h, which nobody writes into.
func copied(h http.Header) http.Header {
	own := make(http.Header, len(h)+1)
	for name, lines := range h {
		own[name] = lines
	}
	return own
}

// serve lets next answer a request that has a mask.
func (f *Filter) serve(outer http.ResponseWriter, r *http.Request, next http.Handler, m *Mask, rest string) {
	s := &response{f: f, m: m, r: r, head: r.Method == http.MethodHead}
	s.projection = rw.Projection{Mask: m, Query: rest}
	inner := r.WithContext(context.WithValue(r.Context(), rw.ProjectionKey{}, &s.projection))
	inner.Header = s.incoming(r.Header)
	defer rw.CopyBack(r, inner)
	s.Wrap(outer, s)
	defer s.release()
	s.Serve(s, next, inner)
	s.returned = true
}
