package rw

import (
	"context"
	"net/http"
)

// Context keys are types of their own, as usual; the values are what the functions below
// return.
type (
	// OuterKey finds, in the context of a part of a batch, its envelope's *http.Request.
	OuterKey struct{}
	// ProjectionKey finds the *Projection that an answer will be cut to.
	ProjectionKey struct{}

	backgroundKey struct{}
)

// Outer returns the request around the batch that r is a part of, r itself if it is none.
func Outer(r *http.Request) *http.Request {
	if outer, ok := r.Context().Value(OuterKey{}).(*http.Request); ok {
		return outer
	}
	return r
}

// A Projection says which fields of the answer its client asked for.
type Projection struct {
	Mask  any    // as the layer that put it there understands it
	Query string // the request's RawQuery without the parameter that asked
}

// Masked returns the projection of ctx, nil if there is none.
func Masked(ctx context.Context) *Projection {
	p, _ := ctx.Value(ProjectionKey{}).(*Projection)
	return p
}

// Whole returns r if nothing masks it; else a copy whose answer is the whole document: the
// projection is hidden, its parameter out of URL and RequestURI. Whoever shares an answer or
// makes requests of r calls it. Hand the copy on with CopyBack.
func Whole(r *http.Request) *http.Request {
	p := Masked(r.Context())
	if p == nil {
		return r
	}
	whole := r.WithContext(context.WithValue(r.Context(), ProjectionKey{}, (*Projection)(nil)))
	url := *r.URL
	url.RawQuery, url.ForceQuery = p.Query, false
	whole.URL, whole.RequestURI = &url, url.RequestURI()
	whole.Form = nil // if it was parsed it has the parameter; the next FormValue parses anew
	return whole
}

// CopyBack brings to r what was set on inner, its copy, by those inside: outer layers name the route
// by Pattern, and net/http removes the temporary files of MultipartForm. Defer it, so that
// it also holds on panic.
func CopyBack(r, inner *http.Request) {
	r.Pattern, r.MultipartForm = inner.Pattern, inner.MultipartForm
}

// Background marks the work of ctx as nobody's request, such as a refresh behind.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground reports whether ctx was marked by Background.
func IsBackground(ctx context.Context) bool {
	marked, _ := ctx.Value(backgroundKey{}).(bool)
	return marked
}
