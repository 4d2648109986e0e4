package compress

import (
	"net/http"
	"strconv"
	"strings"
	"unsafe"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// values of header fields live in the writer: shared slices could be changed for all
// responses by a layer outside, and slices of their own would be an allocation each.
type values struct {
	coding, vary, length, contentType, tag [1]string
	digits                                 [8]byte // of a body that was held; a longer number is an allocation
}

// read notes what a decision depends on of h, the handler's header. One walk costs less than
// seven lookups, of which most find nothing.
func (w *writer) read(h http.Header) {
	var typeLines []string
	typed, transfer := false, false
	for name, lines := range h {
		switch len(name) {
		case len("Signature"): // RFC 9421: it may cover fields that we change
			w.verbatim = w.verbatim || name == "Signature" && len(lines) > 0
		case len("Incremental"):
			w.incremental = w.incremental || name == "Incremental" && isIncremental(lines)
		case len("Content-Type"):
			if name == "Content-Type" {
				typeLines, typed = lines, true
			}
		case len("Content-Range"): // and that of Cache-Control
			switch name {
			case "Content-Range":
				w.ranged = w.ranged || len(lines) > 0
			case "Cache-Control":
				w.verbatim = w.verbatim || field.NoTransform(h)
			}
		case len("Content-Encoding"):
			w.coded = w.coded || name == "Content-Encoding" && len(lines) > 0
		case len("Transfer-Encoding"):
			transfer = transfer || name == "Transfer-Encoding" && len(lines) > 0
		}
	}
	switch {
	case !typed && !transfer: // net/http does not sniff beside it either
		w.kind = unknown
	case len(typeLines) > 0:
		t := w.c.types.of(typeLines[0], w.c.contentTypeOf)
		w.kind, w.eventType, w.ranged = t.kind, t.events, w.ranged || t.ranges
	}
}

// facts are what was read, and what has happened since.
func (w *writer) facts(size int64) facts {
	return facts{
		status: int(w.status), connect: w.r.Method == http.MethodConnect, head: w.head,
		ranged: w.ranged, coded: w.coded, verbatim: w.verbatim, off: w.mode.Load() == off,
		kind: w.kind, accepts: w.choice.coding >= 0, forced: w.choice.forced,
		size: size, min: w.c.cfg.MinSize,
	}
}

// sniff tells the type from the first bytes of the body, as net/http would have: once they
// are coded it cannot.
func (w *writer) sniff(p []byte) {
	if w.kind != unknown || len(p) == 0 {
		return
	}
	w.vals.contentType[0] = http.DetectContentType(p)
	w.kind = w.c.types.of(w.vals.contentType[0], w.c.contentTypeOf).kind
}

// vary adds Vary: Accept-Encoding.
func (w *writer) vary(h http.Header) {
	if len(h["Vary"]) > 0 {
		field.AddVary(h, "Accept-Encoding")
		return
	}
	w.vals.vary[0] = "Accept-Encoding"
	h["Vary"] = w.vals.vary[:]
}

// plainHeader edits h for a body that leaves as it is.
func (w *writer) plainHeader(h http.Header, p plan) {
	if p.reason == skipCoded && isIdentity(h["Content-Encoding"]) {
		delete(h, "Content-Encoding") // RFC 9110 section 8.4.1: reserved for Accept-Encoding
	}
	if w.status == http.StatusNotModified && w.restoredTags {
		if tag := h.Get("Etag"); tag != "" {
			w.setTag(h, w.ours(tag))
		}
	}
	if !p.vary {
		return
	}
	w.vary(h)
	switch p.reason {
	case skipStatus, skipSaturated, noReason: // what another request would have had is not known
	case skipClient:
		if d := w.Declared(); d >= 0 && d < w.c.cfg.MinSize {
			rw.VaryBy(w.Unwrap(), "Accept-Encoding", w.c.plain)
			return
		}
		w.tellVarier(w.eventType)
	default:
		rw.VaryBy(w.Unwrap(), "Accept-Encoding", w.c.plain)
	}
}

func isIdentity(lines []string) bool {
	for member := range field.Members(lines) {
		if !strings.EqualFold(member, "identity") {
			return false
		}
	}
	return true
}

func (w *writer) tellVarier(event bool) {
	choose := w.c.usual
	if event {
		choose = w.c.event
	}
	rw.VaryBy(w.Unwrap(), "Accept-Encoding", choose)
}

// codedHeader edits h for a body in coding; length is its Content-Length, "" if not known. The
// tag is the caller's to set.
func (w *writer) codedHeader(h http.Header, coding int8, length string) {
	v := &w.vals
	v.coding[0] = w.c.codings[coding].token
	h["Content-Encoding"] = v.coding[:]
	if v.contentType[0] != "" { // sniffed: the handler did not say
		h["Content-Type"] = v.contentType[:]
	}
	field.DropDigests(h)
	// net/http sends no trailers beside a length, and logs a length beside Transfer-Encoding.
	if length == "" || len(h["Transfer-Encoding"]) > 0 || w.HasTrailers() {
		delete(h, "Content-Length")
	} else {
		v.length[0] = length
		h["Content-Length"] = v.length[:]
	}
	w.vary(h)
}

// suffixTag marks a strong tag with the coding; weakly if the bytes depend on the timing
// of a Flush as well. Weak tags name no bytes and stay.
func (w *writer) suffixTag(h http.Header, suffix string, weak bool) {
	tag := h.Get("Etag")
	if tag == "" || tag[0] != '"' {
		return
	}
	if coded := field.SuffixETag(tag, suffix); coded != tag {
		if weak {
			coded = "W/" + coded
		}
		w.setTag(h, coded)
	}
}

func (w *writer) setTag(h http.Header, tag string) {
	w.vals.tag[0] = tag
	h["Etag"] = w.vals.tag[:]
}

// decimal formats n into the writer itself, so that a length is not an allocation.
func (w *writer) decimal(n int) string {
	digits := strconv.AppendInt(w.vals.digits[:0], int64(n), 10)
	// The digits are written once in the life of the writer, before anybody sees the string.
	return unsafe.String(unsafe.SliceData(digits), len(digits))
}
