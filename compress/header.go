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
	digits                                 [20]byte
}

// facts reads what a decision depends on from h, the handler's header.
func (w *writer) facts(h http.Header, status int, size int64) facts {
	f := facts{
		status: status, connect: w.r.Method == http.MethodConnect, head: w.head,
		kind: w.kind, accepts: w.choice.coding >= 0, forced: w.choice.forced,
		off: w.mode.Load() == off, size: size, min: w.c.cfg.MinSize,
	}
	f.ranged = len(h["Content-Range"]) > 0 || w.multipart
	f.coded = len(h["Content-Encoding"]) > 0
	f.verbatim = field.NoTransform(h) || len(h["Signature"]) > 0 // RFC 9421: it may cover fields that we change
	return f
}

// readType sets kind from the handler's Content-Type.
func (w *writer) readType(h http.Header) {
	lines, present := h["Content-Type"]
	switch {
	case !present && len(h["Transfer-Encoding"]) == 0: // net/http does not sniff beside it either
		w.kind = unknown
		return
	case len(lines) == 0:
		w.kind = unwanted
		return
	}
	mediaType := field.MediaType(lines[0])
	w.eventType = isEventStream(mediaType)
	w.multipart = mediaType == "multipart/byteranges"
	w.kind = unwanted
	if mediaType != "" && w.c.cfg.Types(mediaType) {
		w.kind = wanted
	}
}

// sniff tells the type from the first bytes of the body, as net/http would have: once they
// are coded it cannot.
func (w *writer) sniff(p []byte) {
	if w.kind != unknown || len(p) == 0 {
		return
	}
	w.sniffed = http.DetectContentType(p)
	w.kind = unwanted
	if w.c.cfg.Types(field.MediaType(w.sniffed)) {
		w.kind = wanted
	}
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
	if w.sniffed != "" {
		v.contentType[0] = w.sniffed
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
