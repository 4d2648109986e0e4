package batch

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

// isJSONType reports whether a media type is JSON (RFC 6839 section 3.1).
func isJSONType(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// content decodes the body of a part by its type: JSON as it was sent, text as the string, all
// else from base64.
func (p *part) content(contentType string) (string, error) {
	media := field.MediaType(contentType)
	if p.body == "" || isJSONType(media) {
		return p.body, nil
	}
	s := scanner{text: p.body}
	text, err := s.string()
	if err != nil {
		return "", errors.New("body: must be a string unless the type is JSON")
	}
	if strings.HasPrefix(media, "text/") {
		return text, nil
	}
	decoded, err := decodeBase64(text)
	if err != nil {
		return "", errors.New("body: is not base64")
	}
	return string(decoded), nil
}

// decodeBase64 takes both alphabets, padded or not (RFC 4648 sections 4 and 5).
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}
