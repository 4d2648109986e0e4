package partial_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// A first Write that is walked twice, once to see whether it is JSON, is counted once.
func TestStats_BytesOfBigWrites(t *testing.T) {
	f := mustNew(t, partial.Config{})
	doc, want := big(10_000)
	w := do(f.Handler(serve(0, asJSON, doc)), "GET", "/?fields=items/id")
	if s := f.Stats(); w.Body.String() != want || s.InBytes != uint64(len(doc)) || s.OutBytes != uint64(len(want)) {
		t.Errorf("%+v, want %d and %d bytes", s, len(doc), len(want))
	}
}

// A HEAD may declare what GET sends, flush and write nothing: nothing is missing.
func TestS7_HEADFlushes(t *testing.T) {
	f := mustNew(t, partial.Config{})
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_ = http.NewResponseController(w).Flush() // net/http has an error for it in HTTP/2, where the stream has ended
	}))
	for _, proto := range protos {
		srv, client := server(t, h, proto)
		res, err := client.Head(srv.URL + "/?fields=a")
		if err != nil || res.StatusCode != 200 {
			t.Errorf("%s: %v", proto, err)
		}
		srv.Close()
	}
	if s := f.Stats(); s.Aborted > 0 {
		t.Errorf("%+v", s)
	}
}

// A digest that nobody announced is one of the whole document too.
func TestS2_TrailersThatNobodyAnnounced(t *testing.T) {
	f := mustNew(t, partial.Config{})
	srv, client := server(t, f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, whole[:7])
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, whole[7:])
		w.Header().Set(http.TrailerPrefix+"Repr-Digest", "x")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})), "HTTP/1.1")
	res, err := client.Get(srv.URL + "/?fields=a")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body strings.Builder
	if _, err := io.Copy(&body, res.Body); err != nil || body.String() != cut {
		t.Errorf("%s, %v", body.String(), err)
	}
	if res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("Repr-Digest") != "" {
		t.Errorf("trailer %v", res.Trailer)
	}
}

// What was cut short enough for net/http's buffer, where unannounced trailers are dropped, has them all the same.
func TestS2_UnannouncedTrailersOfAShortCut(t *testing.T) {
	for name, buffer := range map[string]int64{"held": 0, "streamed": 100} {
		h := mustNew(t, partial.Config{Buffer: buffer}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `[`)
			for range 100 {
				_, _ = io.WriteString(w, `{"a":1,"b":"`+strings.Repeat("x", 100)+`"},`)
			}
			_, _ = io.WriteString(w, `null]`)
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}))
		for _, proto := range protos {
			srv, client := server(t, h, proto)
			res, err := client.Get(srv.URL + "/?fields=a")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if want := `[` + strings.Repeat(`{"a":1},`, 100) + `null]`; err != nil || string(body) != want || res.Trailer.Get("X-Sum") != "1" {
				t.Errorf("%s, %s: %.40q, %v, trailer %v", name, proto, body, err, res.Trailer)
			}
		}
	}
}
