package field

import (
	"net/http"
	"strings"
)

// A body that was cut to some of its fields has the entity tag of the whole one, with a suffix
// that names the fields: `"v1~fields.X"`, X being 96 bits in base64url.

// MaskSuffix begins the suffix.
const MaskSuffix = "~fields."

const maskDigits = 16

// CutMaskTag returns tag without the suffix of a mask, and whether it had one.
func CutMaskTag(tag string) (plain string, masked bool) {
	at := len(tag) - len(MaskSuffix) - maskDigits - len(`"`)
	if at < len(`"`) || tag[at:at+len(MaskSuffix)] != MaskSuffix {
		return tag, false
	}
	if _, _, ok := opaque(tag); !ok {
		return tag, false
	}
	for _, c := range []byte(tag[at+len(MaskSuffix) : len(tag)-1]) {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '_') {
			return tag, false
		}
	}
	return tag[:at] + `"`, true
}

// CutMaskTags takes the suffix of any mask off the tags in If-Match, so that who has read three
// fields can update the whole. It allocates only if there is one.
func CutMaskTags(h http.Header) {
	if HasMaskTags(h) {
		MapETags(h, "If-Match", func(tag string) (string, bool) {
			plain, _ := CutMaskTag(tag)
			return plain, true
		})
	}
}

// HasMaskTags reports whether CutMaskTags would look at the tags in If-Match: most have none.
func HasMaskTags(h http.Header) bool {
	for _, line := range h["If-Match"] {
		if strings.Contains(line, MaskSuffix) {
			return true
		}
	}
	return false
}
