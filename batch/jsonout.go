package batch

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

const hex = "0123456789abcdef"

// appendText appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[from:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[from:i]...), `\ufffd`...)
			from = i + 1
		}
		i += size
	}
	return append(append(dst, s[from:]...), '"')
}

// appendField appends a member of headers.
func appendField(dst []byte, name, value string) []byte {
	if len(dst) > 0 {
		dst = append(dst, ',')
	}
	return appendText(append(appendText(dst, name), ':'), value)
}

// appendBody appends a body by its type: JSON as it is if it is JSON, or it could forge its
// neighbours' answers; text as a string; all else in base64.
func appendBody(dst []byte, contentType string, body []byte) []byte {
	media := field.MediaType(contentType)
	json := isJSONType(media)
	if json || strings.HasPrefix(media, "text/") {
		text := unsafe.String(unsafe.SliceData(body), len(body)) // read below, and not kept
		if json && isJSON(text) {
			return append(dst, body...)
		}
		if utf8.ValidString(text) {
			return appendText(dst, text)
		}
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, body)
	return append(dst, '"')
}

// frameSize is what the answer of a part needs at most besides its id, its fields and its body. It
// is what a refusal of answer507 needs, too, so that there is always room for one.
const frameSize = 384

// appendAnswer appends the answer of p, from its sink.
func appendAnswer(dst []byte, p *part) []byte {
	s := &p.sink
	dst = appendText(append(dst, `{"id":`...), p.id)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(s.status), 10)
	dst = append(append(append(dst, `,"headers":{`...), s.fields...), '}')
	if body := s.bytes(); len(body) > 0 && rw.BodyAllowed(s.status) {
		dst = appendBody(append(dst, `,"body":`...), s.typ, body)
	}
	return append(dst, '}')
}

// appendProblem appends an answer of p that its handler did not give. text is problem+json.
func appendProblem(dst []byte, p *part, status int, text []byte) []byte {
	dst = appendText(append(dst, `{"id":`...), p.id)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(status), 10)
	dst = append(dst, `,"headers":{"Cache-Control":"no-store","Content-Type":"application/problem+json"}`...)
	if p.method != "HEAD" {
		dst = append(append(dst, `,"body":`...), text...)
	}
	return append(dst, '}')
}
