//go:build !race

package httpcache_test

import (
	"net/http"
	"testing"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// A hit, a HEAD, a variant and a 304 cost nothing.
func TestAllocs_Hit(t *testing.T) {
	body := string(make([]byte, 1024))
	for _, tc := range []struct {
		name, method string
		fields       []string
	}{
		{"hit", "GET", nil},
		{"head", "HEAD", nil},
		{"304", "GET", []string{`If-None-Match: "v1"`}},
		{"browser", "GET", []string{"Accept: text/html,application/xhtml+xml", "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: de,en;q=0.5", "Cookie: a=b"}},
	} {
		for _, vary := range []string{"Accept-Encoding", "Accept-Language, X-Kind"} {
			s := newSite(t, httpcache.Config{}, says(body, "Cache-Control: max-age=3600", `Etag: "v1"`, "Content-Type: text/plain", "Vary: "+vary))
			s.get(tc.fields...)
			w, r := &sink{h: http.Header{}}, request(tc.method, "http://example.com/a?b=c", tc.fields...)
			s.ServeHTTP(w, request("GET", "http://example.com/a?b=c", tc.fields...))
			if got := testing.AllocsPerRun(200, func() { clear(w.h); s.ServeHTTP(w, r) }); got != 0 {
				t.Errorf("%s, Vary: %s: %v allocations, want none", tc.name, vary, got)
			}
		}
	}
}

// A request at a hit-for-miss mark costs its writer.
func TestAllocs_Mark(t *testing.T) {
	no := []string{"no-store"}
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Cache-Control"] = no })
	s.get()
	w, r := &sink{h: http.Header{}}, request("GET", "http://example.com/a")
	if got := testing.AllocsPerRun(200, func() { clear(w.h); s.ServeHTTP(w, r) }); got > 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}
