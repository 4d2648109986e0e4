package compress_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// toyCache answers from one stored body, as a response cache does.
type toyCache struct {
	v      *rw.Variants
	fields string
	taken  atomic.Int64
}

func newToy(body []byte, reserve func(int64) bool) *toyCache {
	return &toyCache{v: rw.NewVariants(body, reserve), fields: "Content-Type: application/json\nEtag: \"v1\""}
}

func (c *toyCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for f := range strings.SplitSeq(c.fields, "\n") {
		name, value, _ := strings.Cut(f, ": ")
		h[name] = []string{value}
	}
	h["Content-Length"] = []string{itoa(len(c.v.Body()))}
	if rw.Offer(w, c.v) {
		c.taken.Add(1)
	}
	_, _ = w.Write(c.v.Body())
}

func TestO1_WhoTakesAnOffer(t *testing.T) {
	for _, tc := range []struct {
		name, accept string
		before       func(w http.ResponseWriter)
		fields       string
		body         []byte
		taken        int64
		coding       string
	}{
		{"accepts one of ours", "gzip", nil, "", text(3000), 1, "gzip"},
		{"wants identity", "identity", nil, "", text(3000), 0, ""},
		{"only a foreign coding", "snappy", nil, "", text(3000), 0, ""},
		{"something was sent", "gzip", func(w http.ResponseWriter) { w.WriteHeader(200); _ = http.NewResponseController(w).Flush() }, "", text(3000), 0, ""},
		{"off", "gzip", func(w http.ResponseWriter) { compress.Off(w) }, "", text(3000), 0, ""},
		{"a type that we do not want", "gzip", nil, "Content-Type: image/png", text(3000), 1, ""},
		{"a small body", "gzip", nil, "", text(300), 1, ""},
		{"no-transform", "gzip", nil, "Cache-Control: no-transform\nContent-Type: text/plain", text(3000), 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			toy := newToy(tc.body, nil)
			if tc.fields != "" {
				toy.fields = tc.fields
			}
			w := get(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tc.before != nil {
					tc.before(w)
				}
				toy.ServeHTTP(w, r)
			})), "Accept-Encoding: "+tc.accept)
			if toy.taken.Load() != tc.taken || w.Header().Get("Content-Encoding") != tc.coding {
				t.Errorf("taken %d, coding %q", toy.taken.Load(), w.Header().Get("Content-Encoding"))
			}
		})
	}

	// A form that is known not to be smaller: plain, and no second try.
	c := mustNew(t, compress.Config{})
	toy := newToy([]byte(noise(3000)), nil)
	for range 3 {
		w := get(c.Handler(toy), "Accept-Encoding: zstd")
		if w.Header().Get("Content-Encoding") != "" || w.Header().Get("Vary") == "" || w.Header().Get("Etag") != `"v1"` || w.Body.Len() != 3000 {
			t.Errorf("%v", w.Header())
		}
	}
	if s := c.Stats(); s.Encodes["form"] != 1 || s.Encodes["whole"] != 0 || s.Skipped["larger"] != 3 {
		t.Errorf("%+v", s)
	}
}

// noise does not get smaller.
func noise(n int) string {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func TestO2_HitsLeaveEncoded(t *testing.T) {
	for _, n := range []int{3000, 64 << 10, 300_000} {
		c := mustNew(t, compress.Config{})
		toy := newToy(text(n), nil)
		for _, coding := range []string{"zstd", "br", "gzip"} {
			miss := get(mustNew(t, compress.Config{}).Handler(serve(200, toy.fields, text(n))), "Accept-Encoding: "+coding)
			for range 3 {
				out := &plainWriter{header: http.Header{}}
				c.Handler(toy).ServeHTTP(out, request("GET", "Accept-Encoding: "+coding))
				h := out.header
				if out.writes != 1 || h.Get("Content-Length") != itoa(len(out.body)) || h.Get("Content-Encoding") != coding || h.Get("Etag") != `"v1~`+coding+`"` || h.Get("Vary") != varies {
					t.Errorf("%d bytes, %s: %d writes, %v", n, coding, out.writes, h)
				}
				if string(out.body) != miss.Body.String() {
					t.Errorf("%d bytes, %s: a hit has other bytes than a miss under one tag", n, coding)
				}
			}
		}
		if s := c.Stats(); s.Encodes["form"] != 3 || s.Stored != 6 || s.Encodes["whole"]+s.Encodes["stream"] != 0 {
			t.Errorf("%d bytes: %+v", n, s)
		}
	}
}

// spy is a layer of somebody else's: it may watch, or change.
type spy struct {
	http.ResponseWriter
	written int
	change  func([]byte) []byte
}

func (s *spy) Unwrap() http.ResponseWriter { return s.ResponseWriter }
func (s *spy) Write(p []byte) (int, error) {
	s.written += len(p)
	if s.change != nil {
		_, err := s.ResponseWriter.Write(s.change(p))
		return len(p), err
	}
	return s.ResponseWriter.Write(p)
}

func TestO3_LayersBetween(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func([]byte) []byte
		length bool // it takes the length off
		forms  uint64
	}{
		{"who watches", nil, false, 1},
		{"who copies", func(p []byte) []byte { return append([]byte(nil), p...) }, false, 0},
		{"who changes", func(p []byte) []byte { return []byte(strings.ToUpper(string(p))) }, false, 0},
		{"who cuts", func(p []byte) []byte { return p[:2000] }, true, 0},
		{"who adds", func(p []byte) []byte { return append(append([]byte(nil), p...), "!"...) }, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, toy := mustNew(t, compress.Config{}), newToy(text(3000), nil)
			want := text(3000)
			if tc.change != nil {
				want = tc.change(text(3000))
			}
			w := get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := &spy{ResponseWriter: w, change: tc.change}
				if tc.length {
					s.ResponseWriter = lengthless{w}
				}
				toy.ServeHTTP(s, r)
				if s.written != 3000 {
					t.Errorf("it saw %d bytes, want the plain ones", s.written)
				}
			})), "Accept-Encoding: gzip")
			if got := decoded(t, w.Header().Get("Content-Encoding"), w.Body.Bytes()); string(got) != string(want) || w.Header().Get("Content-Encoding") != "gzip" {
				t.Errorf("%v, %d bytes", w.Header(), len(got))
			}
			if got := c.Stats().Encodes["form"]; got != tc.forms {
				t.Errorf("%d forms made, want %d", got, tc.forms)
			}
		})
	}
	// And who asks inside for identity: nothing to take.
	c, toy := mustNew(t, compress.Config{}), newToy(text(3000), nil)
	w := get(c.Handler(serve(200, "Content-Type: text/plain", text(3000))), "Accept-Encoding: gzip")
	if toy.taken.Load() != 0 || w.Header().Get("Content-Encoding") != "gzip" {
		t.Error("an ordinary response is encoded as always")
	}
}

type lengthless struct{ http.ResponseWriter }

func (l lengthless) Unwrap() http.ResponseWriter { return l.ResponseWriter }
func (l lengthless) Write(p []byte) (int, error) {
	l.Header().Del("Content-Length")
	return l.ResponseWriter.Write(p)
}

func TestO4_OneEncodeForAHundred(t *testing.T) {
	c, toy := mustNew(t, compress.Config{Codings: []compress.Coding{slow{}}}), newToy(text(30_000), nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			w := get(c.Handler(toy), "Accept-Encoding: lz")
			if w.Header().Get("Content-Encoding") != "lz" || w.Body.Len() != 15_002 {
				t.Errorf("%v %d", w.Header(), w.Body.Len())
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Encodes["form"] != 1 || s.Stored != 99 {
		t.Errorf("%+v", s)
	}

	// A leader that fails sends everybody the ordinary way; so does a context that ends.
	bad := &panicsOnce{}
	c = mustNew(t, compress.Config{Codings: []compress.Coding{bad}})
	w := get(c.Handler(newToy(text(3000), nil)), "Accept-Encoding: lz")
	if s := c.Stats(); !bad.done || w.Header().Get("Content-Encoding") != "lz" || w.Body.Len() != 1502 || s.Encodes["whole"] != 1 || s.Stored != 0 || s.Failed != 1 {
		t.Errorf("panicked %v: %v %+v", bad.done, w.Header(), s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hold, entered := make(chan struct{}), make(chan struct{})
	v := rw.NewVariants(text(3000), nil)
	go func() {
		_, _ = v.Make(context.Background(), "gzip", "~gzip", func(dst []byte) ([]byte, error) {
			close(entered)
			<-hold
			return dst, nil
		})
	}()
	<-entered
	c = mustNew(t, compress.Config{})
	w = httptest.NewRecorder()
	c.Handler(&toyCache{v: v, fields: "Content-Type: text/plain"}).ServeHTTP(w, request("GET", "Accept-Encoding: gzip").WithContext(ctx))
	close(hold)
	if string(decoded(t, "gzip", w.Body.Bytes())) != string(text(3000)) || c.Stats().Encodes["whole"] != 1 {
		t.Errorf("a client that cannot wait encodes for itself: %+v", c.Stats())
	}
}

// panicsOnce is a coding whose first Write panics.
type panicsOnce struct{ done bool }

func (p *panicsOnce) Token() string                         { return "lz" }
func (p *panicsOnce) NewEncoder() (compress.Encoder, error) { return &panicEncoder{of: p}, nil }

type panicEncoder struct {
	halver
	of *panicsOnce
}

func (e *panicEncoder) Write(p []byte) (int, error) {
	if !e.of.done {
		e.of.done = true
		panic("leader")
	}
	return e.halver.Write(p)
}

// slow is an encoder that takes a moment.
type slow struct{}

func (slow) Token() string                         { return "lz" }
func (slow) NewEncoder() (compress.Encoder, error) { return &slowEncoder{}, nil }

type slowEncoder struct{ halver }

func (s *slowEncoder) Write(p []byte) (int, error) {
	for range 50 {
		_ = text(10_000)
	}
	return s.halver.Write(p)
}

func TestO5_TheCachesAccountIsAsked(t *testing.T) {
	var asked atomic.Int64
	toy := newToy(text(3000), func(delta int64) bool { asked.Add(delta); return false })
	c := mustNew(t, compress.Config{})
	for range 2 {
		w := get(c.Handler(toy), "Accept-Encoding: gzip")
		if string(decoded(t, "gzip", w.Body.Bytes())) != string(text(3000)) || w.Header().Get("Content-Length") == "" {
			t.Errorf("%v", w.Header())
		}
	}
	if s := c.Stats(); s.Encodes["form"] != 2 || s.Stored != 0 || asked.Load() == 0 {
		t.Errorf("refused: made for each who asks: %+v, asked for %d", s, asked.Load())
	}
	var account atomic.Int64
	toy = newToy(text(3000), func(delta int64) bool { account.Add(delta); return true })
	c = mustNew(t, compress.Config{})
	for range 50 {
		for _, accept := range []string{"zstd", "br", "gzip", "gzip;q=0.3", "GZIP", "x-gzip", "gzip, foo", "zstd;q=1.0", "br, lz"} {
			get(c.Handler(toy), "Accept-Encoding: "+accept)
		}
	}
	if got := c.Stats().Encodes["form"]; got != 3 {
		t.Errorf("%d forms, want one for each coding", got)
	}
	toy.v.Release()
	if account.Load() != 0 {
		t.Errorf("%d bytes are left on the account", account.Load())
	}
}

func TestO6_HEADOfAHit(t *testing.T) {
	c, toy := mustNew(t, compress.Config{}), newToy(text(3000), nil)
	g := get(c.Handler(toy), "Accept-Encoding: gzip")
	out := &plainWriter{header: http.Header{}}
	c.Handler(toy).ServeHTTP(out, request("HEAD", "Accept-Encoding: gzip"))
	if len(out.body) != 0 || out.header.Get("Content-Length") != g.Header().Get("Content-Length") || out.header.Get("Etag") != g.Header().Get("Etag") || out.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("HEAD %v, %d bytes; GET %v", out.header, len(out.body), g.Header())
	}
}

// varier is a cache outside that asks what a response varies by.
type varier struct {
	http.ResponseWriter
	choose []func(http.Header) string
}

func (v *varier) Unwrap() http.ResponseWriter { return v.ResponseWriter }
func (v *varier) VaryBy(_ string, choose func(http.Header) string) {
	v.choose = append(v.choose, choose)
}

func TestO7_AVariantPerCoding(t *testing.T) {
	spellings := []string{"gzip", "GZIP", "x-gzip", "gzip;q=1", "gzip;q=0.5, identity;q=0.1", "gzip, deflate", "br;q=0, gzip", "*;q=0.1, gzip, zstd;q=0, br;q=0"}
	for range 42 {
		spellings = append(spellings, spellings[len(spellings)%8]+", x"+itoa(len(spellings)))
	}
	for _, tc := range []struct {
		name string
		h    http.Handler
		own  string // the choice of "zstd, gzip"
		of   map[string]string
	}{
		{"a whole body", serve(200, "Content-Type: text/plain", text(3000)), "zstd", map[string]string{"br": "br", "identity": "", "": ""}},
		{"a streamed one", serve(200, "Content-Type: text/plain", text(100_000)), "zstd", map[string]string{"br": "br"}},
		{"an event stream", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("data: x\n\n"))
			_ = http.NewResponseController(w).Flush()
		}), "gzip", map[string]string{"br, gzip": "gzip", "br, gzip;q=0.5": "br"}},
		{"a small one", serve(200, "Content-Type: text/plain", []byte("hi")), "", map[string]string{"gzip": "", "gzip, identity;q=0": "gzip"}},
		{"a small one with its length", serve(200, "Content-Type: text/plain\nContent-Length: 2", []byte("hi")), "", map[string]string{"gzip": ""}},
		{"one that does not get smaller", serve(200, "Content-Type: text/plain", []byte(noise(3000))), "", map[string]string{"br": ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := &varier{ResponseWriter: httptest.NewRecorder()}
			mustNew(t, compress.Config{}).Handler(tc.h).ServeHTTP(v, request("GET", "Accept-Encoding: zstd, gzip"))
			if len(v.choose) != 1 {
				t.Fatalf("told %d times", len(v.choose))
			}
			if got := v.choose[0](http.Header{"Accept-Encoding": {"zstd, gzip"}}); got != tc.own || got != v.Header().Get("Content-Encoding") {
				t.Errorf("its own request: %q, sent %q", got, v.Header().Get("Content-Encoding"))
			}
			for accept, want := range tc.of {
				if got := v.choose[0](http.Header{"Accept-Encoding": {accept}}); got != want {
					t.Errorf("%q: %q, want %q", accept, got, want)
				}
			}
			// Who refuses everything gets 406, and none of what is stored: no answer has this name.
			for _, refusing := range []string{"*;q=0", "identity;q=0", "gzip;q=0, identity;q=0"} {
				for _, fine := range []string{"", "identity", "gzip", "br", "zstd"} {
					if got := v.choose[0](http.Header{"Accept-Encoding": {refusing}}); got == v.choose[0](http.Header{"Accept-Encoding": {fine}}) {
						t.Errorf("%q shares %q with %q", refusing, got, fine)
					}
				}
			}
			first := v.choose[0](http.Header{"Accept-Encoding": {"gzip"}})
			for _, s := range spellings {
				if got := v.choose[0](http.Header{"Accept-Encoding": {s}}); got != first {
					t.Errorf("%q: %q, want one variant for all spellings of gzip", s, got)
				}
			}
		})
	}
	// Who asks for identity and has a big body: what others would have had is said too.
	v := &varier{ResponseWriter: httptest.NewRecorder()}
	mustNew(t, compress.Config{}).Handler(serve(200, "Content-Type: text/plain", text(3000))).ServeHTTP(v, request("GET"))
	if len(v.choose) != 1 || v.choose[0](http.Header{}) != "" || v.choose[0](http.Header{"Accept-Encoding": {"br"}}) != "br" {
		t.Errorf("identity: told %d times", len(v.choose))
	}
	// Nothing is said where nothing is known, or nothing depends on it.
	for _, h := range []http.Handler{serve(304, ""), serve(206, "Content-Type: text/plain\nContent-Range: bytes 0-1/2", []byte("hi")), serve(200, "Content-Type: image/png", text(3000))} {
		v := &varier{ResponseWriter: httptest.NewRecorder()}
		mustNew(t, compress.Config{}).Handler(h).ServeHTTP(v, request("GET", "Accept-Encoding: gzip"))
		if len(v.choose) != 0 {
			t.Errorf("%v: told %d times", v.Header(), len(v.choose))
		}
	}
}

func offer(w http.ResponseWriter, v *rw.Variants) { rw.Offer(w, v) }
