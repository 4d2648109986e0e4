package partial

import (
	"mime"
	"net/http"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

// cuts reports whether an answer is to be cut: a success that carries JSON as it is. A problem is
// not, whatever was asked for: its fields are not those of the document.
func cuts(status int, h http.Header) bool {
	switch {
	case status < 200 || status > 299:
		return false
	case status == http.StatusNoContent, status == http.StatusResetContent, status == http.StatusPartialContent, status == http.StatusIMUsed:
		return false
	}
	types := h["Content-Type"]
	return len(types) > 0 && isJSON(types[0]) && isIdentity(h["Content-Encoding"]) && !field.NoTransform(h)
}

func isJSON(contentType string) bool {
	media := field.MediaType(contentType)
	switch media {
	case "application/json", "text/json",
		"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq":
	case "application/problem+json": // RFC 9457
		return false
	default:
		if !strings.HasSuffix(media, "+json") {
			return false
		}
	}
	if strings.IndexByte(contentType, ';') < 0 || strings.EqualFold(contentType, "application/json; charset=utf-8") {
		return true
	}
	_, params, err := mime.ParseMediaType(contentType)
	charset, given := params["charset"]
	return err == nil && (!given || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii"))
}

func isIdentity(codings []string) bool {
	for coding := range field.Members(codings) {
		if !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}
