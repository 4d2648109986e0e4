package partial

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/hotpath-go/hotpath/internal/field"
)

// A strong entity tag names one sequence of bytes (RFC 9110 section 8.8.1), and caches splice by
// it. RFC 9110 section 8.8.3 would let two URLs share a tag, but not every cache and client keeps
// them apart, so a cut body has a tag of its own.

// formatVersion changes when the same mask gives other bytes.
const formatVersion = "1:"

// tagDigest is how much of the hash is in a tag: 96 bits.
const tagDigest = 12

// suffixOf names the mask in the tags of what it cuts.
func (m *Mask) suffixOf() string {
	text := bytes.NewBuffer(make([]byte, 0, 256))
	text.WriteString(formatVersion)
	m.write(text, nil)
	sum := sha256.Sum256(text.Bytes())
	suffix := append(make([]byte, 0, 32), field.MaskSuffix...)
	return string(base64.RawURLEncoding.AppendEncode(suffix, sum[:tagDigest]))
}

// suffix is that of this response's mask: few answers have tags.
func (s *response) suffix() string {
	if s.tagSuffix == "" {
		s.tagSuffix = s.m.suffixOf()
	}
	return s.tagSuffix
}

// incoming returns what the handler gets of a request's header.
func (s *response) incoming(h http.Header) http.Header {
	own := copied(h)
	// No part of cut bytes (RFC 9110 section 14.2: a server may ignore Range), no coded bytes.
	delete(own, "Range")
	delete(own, "If-Range")
	s.identity[0] = "identity"
	own["Accept-Encoding"] = s.identity[:1:1]

	field.CutMaskTags(own)
	if own["If-None-Match"] != nil {
		field.MapETags(own, "If-None-Match", func(tag string) (string, bool) {
			if tag == "*" {
				return tag, true
			}
			plain, ours := s.restored(tag)
			// One without our suffix names other bytes: a GET must not be told that it has them. A
			// PUT must not lose its condition.
			return plain, ours || !s.head && s.r.Method != http.MethodGet
		})
		if own["If-None-Match"] == nil {
			delete(own, "If-Modified-Since") // it would come to life (RFC 9110 section 13.1.3)
		}
	}
	return own
}

// restored takes the suffix of this mask off; false: tag has not it.
func (s *response) restored(tag string) (plain string, ours bool) {
	plain, masked := field.CutMaskTag(tag)
	suffix := s.suffix()
	return plain, masked && tag[len(plain)-1:len(tag)-1] == suffix
}

// asListed gives the tag of a 304 the form in which the client listed it, else the one that a 200
// would have: a cache refreshes nothing by a 304 with another tag (RFC 9110 section 15.4.5, RFC
// 9111 section 4.3.4).
func (s *response) asListed(h http.Header) {
	tags := h["Etag"]
	if len(tags) == 0 {
		return
	}
	for sent := range field.ETags(s.r.Header["If-None-Match"]) {
		if plain, ours := s.restored(sent); ours && field.WeakMatch(plain, tags[0]) {
			s.lines[0] = sent
			h["Etag"] = s.lines[0:1:1]
			return
		}
	}
	s.cutTag(h)
}

// cutTag gives the tag of a cut body its suffix. One without quotes has no room for it and goes: it
// would be that of the whole.
func (s *response) cutTag(h http.Header) {
	if tags := h["Etag"]; len(tags) > 0 {
		if s.lines[0] = field.SuffixETag(tags[0], s.suffix()); s.lines[0] == tags[0] {
			delete(h, "Etag")
			return
		}
		h["Etag"] = s.lines[0:1:1]
	}
}

// wholeTag gives the tag of a success that leaves uncut the suffix too, on GET and HEAD: from a 304
// nobody can tell whether the 200 would be cut, and tags without the suffix never match (incoming).
func (s *response) wholeTag(h http.Header) {
	if s.status/100 == 2 && (s.head || s.r.Method == http.MethodGet) && len(h["Etag"]) > 0 {
		s.lines[0] = field.SuffixETag(h["Etag"][0], s.suffix())
		h["Etag"] = s.lines[0:1:1]
	}
}
