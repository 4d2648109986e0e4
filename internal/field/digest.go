package field

import (
	"net/http"
	"slices"
	"strings"
)

// digests are the fields that hold for one sequence of bytes only: whoever changes a body
// takes them off. Digest (RFC 3230) and Content-MD5 (RFC 2616) are obsolete and still sent;
// Content-Digest and Repr-Digest are RFC 9530; Accept-Ranges promises ranges of those bytes.
var digests = [...]string{"Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"}

// DropDigests takes the fields off h that describe the exact bytes of a body, announced
// trailers included. It allocates only if a Trailer field has to be rewritten.
func DropDigests(h http.Header) {
	for name := range h { // one walk: most headers have none of them
		trailer, ok := strings.CutPrefix(name, http.TrailerPrefix) // keeps the handler's spelling
		if slices.Contains(digests[:], name) || ok && isDigest(trailer) {
			delete(h, name)
		}
	}
	if trailers := h["Trailer"]; len(trailers) > 0 && announcesDigest(trailers) {
		var kept []string
		for name := range Members(trailers) {
			if !isDigest(name) {
				kept = append(kept, name)
			}
		}
		if kept == nil {
			delete(h, "Trailer")
			return
		}
		h["Trailer"] = []string{strings.Join(kept, ", ")}
	}
}

func announcesDigest(trailers []string) bool {
	for name := range Members(trailers) {
		if isDigest(name) {
			return true
		}
	}
	return false
}

func isDigest(name string) bool {
	for _, digest := range digests {
		if strings.EqualFold(name, digest) {
			return true
		}
	}
	return false
}
