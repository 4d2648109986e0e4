package compress

import (
	"net/http"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A strong entity tag names one sequence of bytes (RFC 9110 section 8.8.1), so `"v1"` leaves
// as `"v1~zstd"` where the body leaves as zstd, and has its suffix taken off where a client
// sends it back: the handler compares with its own tag and never hears of us.

// restored returns the tag that tag was made of and the coding of its suffix, or identity.
func (c *Compressor) restored(tag string) (plain string, coding int) {
	tilde := strings.LastIndexByte(tag, '~')
	if tilde < 0 || len(tag) < 3 || tag[len(tag)-1] != '"' {
		return tag, identity
	}
	opaque := strings.TrimPrefix(tag, "W/") // a tag that is weak by itself never gets a suffix: the W/ is ours
	if opaque[0] != '"' || strings.IndexByte(opaque[1:], '"') != len(opaque)-2 {
		return tag, identity
	}
	token, recipe, has := strings.Cut(tag[tilde+1:len(tag)-1], ".")
	if has && !isRecipe(recipe) {
		return tag, identity
	}
	for i, own := range c.codings {
		if token == own.token {
			return opaque[:strings.LastIndexByte(opaque, '~')] + `"`, i
		}
	}
	return tag, identity
}

// isRecipe: any recipe counts, for tags outlive the configuration that made them.
func isRecipe(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return s != ""
}

// restoreTags takes our suffix off the tags in h; ch is what their client accepts.
func (c *Compressor) restoreTags(h http.Header, ch choice) {
	if hasTilde(h["If-None-Match"]) {
		field.MapETags(h, "If-None-Match", func(tag string) (string, bool) {
			// A client that takes gzip no more must not be told that its gzip body is fresh.
			if plain, coding := c.restored(tag); coding >= 0 && ch.accepts(coding) {
				return plain, true
			}
			return tag, true
		})
	}
	if hasTilde(h["If-Match"]) {
		field.MapETags(h, "If-Match", func(tag string) (string, bool) {
			plain, _ := c.restored(tag) // it names a version to change, in whatever coding it was read
			return plain, true
		})
	}
}

func hasTilde(lines []string) bool {
	for _, line := range lines {
		if strings.IndexByte(line, '~') >= 0 {
			return true
		}
	}
	return false
}

// incoming returns r, or a copy whose preconditions the handler understands.
func (w *writer) incoming(r *http.Request) *http.Request {
	h := r.Header
	ifRange := h["If-Range"]
	noRange := w.choice.forced && (ifRange != nil || h["Range"] != nil)
	if hasTilde(ifRange) {
		// A part of a coded body must not be completed by a part of another.
		_, coding := w.c.restored(strings.Trim(ifRange[0], " \t"))
		noRange = noRange || coding >= 0
	}
	w.restoredTags = hasTilde(h["If-None-Match"])
	tags := w.restoredTags || hasTilde(h["If-Match"])
	if !noRange && !tags {
		return r
	}
	own := make(http.Header, len(h))
	for name, lines := range h {
		own[name] = lines
	}
	if tags {
		w.c.restoreTags(own, w.client())
		tags = differ(h, own, "If-None-Match") || differ(h, own, "If-Match")
	}
	if !noRange && !tags {
		return r // a tilde of somebody else's
	}
	if noRange {
		// RFC 9110 section 14.2: a server may ignore Range. The full answer follows.
		delete(own, "Range")
		delete(own, "If-Range")
	}
	inner := r.WithContext(r.Context())
	inner.Header = own
	return inner
}

func differ(a, b http.Header, name string) bool {
	x, y := a[name], b[name]
	return len(x) != len(y) || len(x) > 0 && x[0] != y[0]
}

// client is what the client accepts that has read what it now asks about. A part of a batch asks for identity,
// and its tags may be of answers that the same client got in a coding.
func (w *writer) client() choice {
	if outer := rw.Outer(w.r); outer != w.r {
		return w.c.choose(outer.Header["Accept-Encoding"])
	}
	return w.choice
}

// RestoreTags undoes in h, the header of a part of a batch, what this response's layer does to
// tags.
func (w *writer) RestoreTags(h http.Header) { w.c.restoreTags(h, w.choice) }

var _ rw.TagRestorer = (*writer)(nil)

// ours returns the client's version of tag, the tag of a 304: a 304 names what the client has
// (RFC 9110 section 15.4.5). Of several it is that of the coding it likes best now.
func (w *writer) ours(tag string) string {
	found, ch := "", w.client()
	for sent := range field.ETags(w.r.Header["If-None-Match"]) {
		plain, coding := w.c.restored(sent)
		switch {
		case coding < 0 || plain != tag || !ch.accepts(coding):
		case coding == int(ch.coding):
			return sent
		case found == "":
			found = sent
		}
	}
	if found == "" {
		return tag
	}
	return found
}
