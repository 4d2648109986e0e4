package stacktest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// tags: what was served revalidates with a 304 of the same tag, alone and among others. That one strong tag never
// names two byte sequences is checked of every answer, by checkAny.
func tags(t *testing.T, s *stack) {
	for _, accept := range []string{"gzip", "identity", "zstd, gzip;q=0.5"} {
		field := "Accept-Encoding: " + accept
		for _, which := range []string{"cold", "warm"} {
			for _, path := range []string{"/items/8", "/items/8?fields=id", "/items/8?fields=name,text", "/doc", "/weak", "/list/large?fields=items/id"} {
				get := s.ask(t, "GET", path, field)
				tag := get.header.Get("Etag")
				if tag == "" {
					t.Errorf("%s %s by %s lost its tag: %s", which, path, accept, get)
				}
				for _, sent := range []string{tag, `"other", ` + tag + `, W/"third"`, `"other"`} {
					a := s.ask(t, "GET", path, field, "If-None-Match: "+sent)
					want := http.StatusNotModified
					if sent == `"other"` {
						want = http.StatusOK
					}
					if a.status == http.StatusOK && want == http.StatusNotModified && s.twiceCoded() {
						continue // slower, and right
					}
					if a.status != want || a.header.Get("Etag") != tag {
						t.Errorf("%s %s by %s: %s of %s: %d %s", which, path, accept, sent, tag, a.status, a.header.Get("Etag"))
					}
					if want == http.StatusNotModified && !slices.Equal(a.header["Vary"], get.header["Vary"]) {
						t.Errorf("%s by %s: Vary %q of the 304, %q of the 200", path, accept, a.header["Vary"], get.header["Vary"])
					}
				}
			}
		}
	}
	// Who takes gzip no more is not told that its gzip body is fresh.
	tag := s.ask(t, "GET", "/items/8", "Accept-Encoding: gzip").header.Get("Etag")
	if a := s.ask(t, "GET", "/items/8", "Accept-Encoding: identity", "If-None-Match: "+tag); a.status == http.StatusNotModified && strings.Contains(tag, "~") {
		t.Errorf("%s is fresh for who cannot read it", tag)
	}
}

// twiceCoded: with a cache between two compressors a coded tag revalidates as a full answer.
func (s *stack) twiceCoded() bool {
	return s.between("c", "h", "c")
}

// updates: the tag that a client has, in whatever coding and of whatever mask it read, is good for If-Match once; a
// cache outside or inside has forgotten the old version when the answer is there, for the writer and for others.
func updates(t *testing.T, s *stack) {
	targets := []string{"/note"}
	if s.has("p") && !s.around("h", "p") { // outside of partial a cache knows nothing of masks: other URLs, other entries
		targets = append(targets, "/note?fields=version")
	}
	for _, accept := range []string{"gzip", "identity", "br"} {
		for _, target := range targets {
			field := "Accept-Encoding: " + accept
			tag := s.ask(t, "GET", target, field).header.Get("Etag")
			if a := s.ask(t, "PUT", "/note", field, `If-Match: "another"`); a.status != http.StatusPreconditionFailed {
				t.Errorf("an update of another version: %s", a)
			}
			if a := s.ask(t, "PUT", target, field, "If-Match: "+tag); a.status != http.StatusNoContent && !s.twiceCoded() {
				t.Errorf("an update of %s by %s: %s", tag, accept, a)
			}
			if a := s.ask(t, "PUT", "/note", field, "If-Match: "+tag); a.status != http.StatusPreconditionFailed {
				t.Errorf("the same update again: %s", a)
			}
			for _, reader := range []string{accept, "zstd", "identity"} {
				want := fmt.Sprintf(`{"version":%d,`, s.version.Load())
				if a := s.ask(t, "GET", "/note", "Accept-Encoding: "+reader); !strings.HasPrefix(a.body, want) {
					t.Errorf("after an update: %s, want %s", a, want)
				}
			}
		}
	}
}
