package stacktest_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
)

// statsOf are those of the cache and the compressor of a stack.
func statsOf(layers []layer) (cached httpcache.Stats, coded compress.Stats) {
	for _, l := range layers {
		if l.cache != nil {
			cached = l.cache.Stats()
		}
		if l.compress != nil {
			coded = l.compress.Stats()
		}
	}
	return cached, coded
}

// compress > any > httpcache: the handler runs once, the second hit makes the form, and all others leave in it,
// past whatever stands between; a masked hit is encoded from the cut bytes.
func TestEncodeOnce(t *testing.T) {
	for _, letters := range []string{"ch", "cuh", "cLOCmh", "cph", "tcobpuhm"} {
		t.Run(letters, func(t *testing.T) {
			o := newOrigin(t)
			h, layers := build(t, letters, roomy, o)
			for range 5 {
				for target, want := range map[string]string{"/list/large": large, "/list/large?fields=items/id": largeIDs} {
					if strings.Contains(target, "?") && !strings.Contains(letters, "p") {
						continue
					}
					w := httptest.NewRecorder()
					r := httptest.NewRequest("GET", target, nil)
					r.Header.Set("Accept-Encoding", "gzip")
					h.ServeHTTP(w, r)
					if body, err := decode(w.Header().Get("Content-Encoding"), w.Body.Bytes()); err != nil || body != want || w.Header().Get("Content-Encoding") != "gzip" {
						t.Errorf("%s: %d bytes, %v, %v", target, len(body), w.Header(), err)
					}
				}
			}
			cached, coded := statsOf(layers)
			if n := o.ranFor("/list/large"); n != 1 || coded.Encodes["form"] != 1 || coded.Stored < 3 || cached.Coded < 4 {
				t.Errorf("the handler ran %d times; %d forms, used %d times; %d coded hits", n, coded.Encodes["form"], coded.Stored, cached.Coded)
			}
		})
	}
}
