package rediscache_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

// What others have written under our names is loaded anew, once, and harms no other key.
func TestForeignGarbage(t *testing.T) {
	const later, header = "99999999999999999", "0123456789012345678901234"
	hash := func(born, header, tags string) []string {
		return []string{"HSET", "{test}v::k", "b", born, "l", "1", "u", "-1", "h", header, "v", "x", "g", tags}
	}
	for name, args := range map[string][]string{
		"another type":        {"SET", "{test}v::k", "hello"},
		"half a hash":         {"HSET", "{test}v::k", "b", "1"},
		"no msgpack":          hash("1", header, "\xc1\xc1"),
		"tags are no list":    hash("1", header, "\x01"),
		"a tag is no text":    hash("1", header, "\x92\xa0\x90"),
		"no tags":             hash("1", header, "\x90"),
		"a birth of no digit": hash("x", header, "\x91\xa0"),
		"born in the future":  hash(later, header, "\x91\xa0"),
		"a short header":      hash("s", "x", "\x91\xa0"),
		"a lease of no text":  {"LPUSH", "{test}l::k", "x"},
		"a lease for ever":    {"SET", "{test}l::k", "x"},
		"s is no number":      {"SET", "{test}s", "x"},
		"s is a list":         {"LPUSH", "{test}s", "x"},
		"all is a list":       {"LPUSH", "{test}t:", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			var src source
			a, b := newNode(t, s.addr(), src.load), newNode(t, s.addr(), src.load)
			a.must(t, "first", "first#1")
			for i, arg := range args {
				if arg == "s" { // a value that is good but for its header
					args[i] = s.text("GET", "{test}s")
				}
			}
			if strings.HasSuffix(args[1], "t:") {
				s.do("DEL", args[1])
			}
			if strings.HasSuffix(args[1], "}s") {
				s.do("DEL", args[1])
			}
			s.do(args...)
			keys := []string{"x1", "x2", "k", "x3"}
			if got, err := a.GetMany(t.Context(), keys); len(got) != 4 || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			for _, key := range keys {
				within(t, b, key, key+"#1")
			}
			a.PurgeAll()
			within(t, a, "k", "k#2")
			if st := a.tier.Stats(); st.TripErrors != 0 {
				t.Errorf("%d trips have failed", st.TripErrors)
			}
		})
	}
}

// A Decode that panics is one that refuses.
func TestDecode_Panics(t *testing.T) {
	s := startServer(t)
	var src source
	a := newNode(t, s.addr(), src.load)
	b := newNode(t, s.addr(), src.load, func(tc *rediscache.Config[string], _ *cache.Config[string, string]) {
		tc.Encode = func(v string) ([]byte, error) { return []byte(v), nil }
		tc.Decode = func([]byte) (string, error) { panic("index out of range") }
	})
	a.must(t, "k", "k#1")
	got, err := b.GetMany(t.Context(), []string{"n1", "k", "n2"})
	if len(got) != 3 || got["k"] != "k#2" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	within(t, a, "n1", "n1#1")
	if n := b.tier.Stats().Unreadable; n != 1 {
		t.Errorf("%d unreadable", n)
	}
}

// A value that is too large to share is not, and nobody waits for it.
func TestMaxValueBytes(t *testing.T) {
	s := startServer(t)
	large := func(_ context.Context, key string) (string, error) { return strings.Repeat(key, 1000), nil }
	option := func(tc *rediscache.Config[string], _ *cache.Config[string, string]) { tc.MaxValueBytes = 1000 }
	a, b := newNode(t, s.addr(), large, option), newNode(t, s.addr(), large, option)
	keys := []string{"x", "ab", "y"}
	for _, n := range []*node{a, b} {
		got, err := n.GetMany(t.Context(), keys)
		if len(got) != 3 || len(got["ab"]) != 2000 || err != nil {
			t.Errorf("%d values, %v", len(got), err)
		}
	}
	if s.text("EXISTS", "{test}v::x") != "1" || s.text("EXISTS", "{test}v::ab") != "0" {
		t.Error("x shall be there, ab not")
	}
	if got := b.Stats(); got.RemoteHits != 2 || got.Loads != 1 {
		t.Errorf("b: %d remote hits, %d loads", got.RemoteHits, got.Loads)
	}
	// A Set of such a value takes what was there.
	a.Set("x", strings.Repeat("z", 2000))
	eventually(t, "x is not what it was before the Set", func() bool { return s.text("EXISTS", "{test}v::x") == "0" })
}
