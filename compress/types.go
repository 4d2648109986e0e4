package compress

import (
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

// A contentType is what a Content-Type means for a response.
type contentType struct {
	kind   kind
	events bool // the body comes an event at a time
	ranges bool // it is made of parts of a representation
}

func (c *Compressor) readType(value string) contentType {
	mediaType := field.MediaType(value)
	t := contentType{events: isEventStream(mediaType), ranges: mediaType == "multipart/byteranges"}
	switch {
	case t.ranges:
		t.kind = unknown
	case mediaType != "" && c.cfg.Types(mediaType):
		t.kind = wanted
	}
	return t
}

// Compressible is the default of Config.Types: text/*, +json, +xml and +yaml, JSON and its
// lines and sequences, JavaScript, XML, WebAssembly, SVG, BMP, ICO, TTF and OTF. It expects
// mediaType in lower case without parameters. Call it from a function of your own to extend
// it.
func Compressible(mediaType string) bool {
	kind, sub, _ := strings.Cut(mediaType, "/")
	if kind == "text" {
		return true
	}
	if kind == "application" && strings.HasPrefix(sub, "grpc") {
		return false // its frames have their own compression, grpc+json among them
	}
	if plus := strings.LastIndexByte(sub, '+'); plus >= 0 {
		switch sub[plus:] {
		case "+json", "+xml", "+yaml", "+json-seq":
			return true
		}
	}
	switch kind {
	case "application":
		switch sub {
		case "json", "x-ndjson", "ndjson", "jsonl", "x-jsonlines", "json-seq", "javascript", "x-javascript", "ecmascript",
			"xml", "yaml", "x-yaml", "wasm", "x-font-ttf", "x-font-otf", "graphql", "vnd.ms-fontobject":
			return true
		}
	case "image":
		switch sub {
		case "svg", "bmp", "x-ms-bmp", "x-icon", "vnd.microsoft.icon":
			return true
		}
	case "font":
		return sub == "ttf" || sub == "otf" || sub == "sfnt" || sub == "collection"
	}
	return false
}

// isEventStream reports whether a body of this type comes an event at a time.
func isEventStream(mediaType string) bool {
	switch mediaType {
	case "text/event-stream", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq":
		return true
	}
	return false
}
