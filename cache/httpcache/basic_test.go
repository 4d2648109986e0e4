package httpcache_test

import (
	"testing"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

func TestHit(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("hello", "Cache-Control: max-age=60"))
	a, b := s.get(), s.get()
	s.want(1, "two requests")
	if a.Body.String() != "hello" || b.Body.String() != "hello" {
		t.Fatal(a.Body, b.Body)
	}
	if got := b.Header().Get("Cache-Status"); got != "hotpath; hit; ttl=59" && got != "hotpath; hit; ttl=60" {
		t.Error(got)
	}
	if b.Header().Get("Age") != "0" || b.Header().Get("Content-Length") != "5" || b.Header().Get("Date") == "" {
		t.Error(b.Header())
	}
	if a.Header().Get("Cache-Status") != "hotpath; fwd=uri-miss; stored" {
		t.Error(a.Header())
	}
}
