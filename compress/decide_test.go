package compress_test

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
)

// A decision is what one response looked like.
type decision struct {
	name   string
	status int
	fields string // of the handler
	body   []byte
	coding string // wanted
	vary   string // wanted
	reason string // wanted in Stats; "": encoded
}

func decisions(t *testing.T, table []decision) {
	t.Helper()
	for _, tc := range table {
		t.Run(tc.name, func(t *testing.T) {
			c := mustNew(t, compress.Config{})
			w := get(c.Handler(serve(tc.status, tc.fields, tc.body)), "Accept-Encoding: gzip")
			if got := w.Header().Get("Content-Encoding"); got != tc.coding {
				t.Errorf("coding %q, want %q", got, tc.coding)
			}
			if got := strings.Join(w.Header()["Vary"], "|"); got != tc.vary {
				t.Errorf("Vary %q, want %q", got, tc.vary)
			}
			if tc.reason != "" && (c.Stats().Skipped[tc.reason] != 1 || c.Stats().Responses["identity"] != 1) {
				t.Errorf("not counted as %s: %+v", tc.reason, c.Stats())
			}
			if tc.coding == "" && w.Body.String() != string(tc.body) {
				t.Errorf("a plain body was changed: %d bytes", w.Body.Len())
			}
			if tc.coding == "gzip" && string(decoded(t, "gzip", w.Body.Bytes())) != string(tc.body) {
				t.Error("decodes to something else")
			}
		})
	}
}

const varies = "Accept-Encoding"

func TestD1_StatusesThatForbidIt(t *testing.T) {
	js := "Content-Type: application/json"
	decisions(t, []decision{
		{"204", 204, "", nil, "", "", "status"},
		{"205", 205, "", nil, "", "", "status"},
		{"304 without a type", 304, "", nil, "", varies, "status"},
		{"304 of a type that is not wanted", 304, "Content-Type: image/png", nil, "", "", "status"},
		{"206", 206, js + "\nContent-Range: bytes 0-1999/5000", text(2000), "", varies, "status"},
		{"206 that does not say of what", 206, js, text(2000), "", varies, "status"},
		{"416", 416, js, text(2000), "", varies, "status"},
		{"Content-Range whatever the status", 200, js + "\nContent-Range: bytes 0-1999/5000", text(2000), "", varies, "status"},
		{"multipart/byteranges, which tells its type within", 200, "Content-Type: multipart/byteranges; boundary=x", text(2000), "", varies, "status"},
		{"an error is a response like any other", 500, js, text(2000), "gzip", varies, ""},
		{"404", 404, js, text(2000), "gzip", varies, ""},
	})
	c := mustNew(t, compress.Config{})
	w := do(c.Handler(serve(200, js, text(2000))), "CONNECT", "Accept-Encoding: gzip")
	if w.Header().Get("Content-Encoding") != "" {
		t.Error("a tunnel was encoded")
	}
	w = get(c.Handler(serve(101, js)), "Accept-Encoding: gzip")
	if w.Code != 101 || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("101: %d %v", w.Code, w.Header())
	}
}

func TestD2_WhatIsEncodedStays(t *testing.T) {
	decisions(t, []decision{
		{"a foreign coding", 200, "Content-Type: text/plain\nContent-Encoding: snappy", text(2000), "snappy", "", "coded"},
		{"identity is no coding, and says do not", 200, "Content-Type: text/plain\nContent-Encoding: identity", text(2000), "", "", "coded"},
		{"in any case", 200, "Content-Type: text/plain\nContent-Encoding: Identity", text(2000), "", "", "coded"},
	})
}

func TestD3_WhoForbidsItIsObeyed(t *testing.T) {
	ty := "Content-Type: text/plain\n"
	decisions(t, []decision{
		{"no-transform", 200, ty + "Cache-Control: public\nCache-Control: max-age=1, No-Transform", text(2000), "", "", "no_transform"},
		{"within quotes it is something else", 200, ty + `Cache-Control: x="no-transform"`, text(2000), "gzip", varies, ""},
		{"a signature", 200, ty + "Signature: sig1=:AAAA:", text(2000), "", "", "no_transform"},
	})
	c := mustNew(t, compress.Config{})
	w := get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 2 { // saying it again changes nothing
			if !compress.Off(w) {
				t.Error("Off says no")
			}
		}
		_, _ = w.Write(text(2000))
	})), "Accept-Encoding: gzip")
	if len(w.Header()["Content-Encoding"])+len(w.Header()["Vary"]) > 0 || c.Stats().Skipped["off"] != 1 {
		t.Errorf("%v %+v", w.Header(), c.Stats().Skipped)
	}
	get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("Content-Type", "text/plain")
		if !compress.Off(w) {
			t.Error("a response that left as it is, without a type: Off says no")
		}
	})), "Accept-Encoding: gzip")
	get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		if compress.Off(w) {
			t.Error("the coded header is out: Off says yes")
		}
	})), "Accept-Encoding: gzip")
	if compress.Off(get(http.NotFoundHandler())) {
		t.Error("no Compressor: Off says yes")
	}
}

func TestD4_Types(t *testing.T) {
	decisions(t, []decision{
		{"not wanted", 200, "Content-Type: image/png", text(2000), "", "", "type"},
		{"unparsable", 200, "Content-Type: text", text(2000), "", "", "type"},
		{"parameters and capitals", 200, "Content-Type: TEXT/HTML; charset=utf-8", text(2000), "gzip", varies, ""},
	})
	png := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 2000)...)
	for _, tc := range []struct {
		name string
		f    http.HandlerFunc
		want string // Content-Type, "-": none
		code string
	}{
		{"sniffed and set", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(append([]byte("<html>"), text(2000)...))
		}, "text/html; charset=utf-8", "gzip"},
		{"sniffed in pieces", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_, _ = w.Write([]byte("<ht"))
			_, _ = w.Write(append([]byte("ml>"), text(2000)...))
		}, "text/html; charset=utf-8", "gzip"},
		{"sniffed and not wanted", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(png) }, "-", ""},
		{"absent on purpose", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = w.Write(text(2000))
		}, "-", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			own := http.Header{}
			mustNew(t, compress.Config{}).Handler(tc.f).ServeHTTP(&plainWriter{header: own}, request("GET", "Accept-Encoding: gzip"))
			got := "-"
			if len(own["Content-Type"]) > 0 {
				got = own.Get("Content-Type")
			}
			if got != tc.want || own.Get("Content-Encoding") != tc.code {
				t.Errorf("type %q, want %q; coding %q", got, tc.want, own.Get("Content-Encoding"))
			}
		})
	}
	all := mustNew(t, compress.Config{Types: func(mt string) bool { return mt == "image/png" }})
	if w := get(all.Handler(serve(200, "Content-Type: Image/PNG; x=y", text(2000))), "Accept-Encoding: br"); w.Header().Get("Content-Encoding") != "br" {
		t.Error("Types was not asked, or not in lower case without parameters")
	}
}

// plainWriter is an inner writer without any of net/http's help.
type plainWriter struct {
	header http.Header
	status int
	body   []byte
	writes int
}

func (w *plainWriter) Header() http.Header { return w.header }
func (w *plainWriter) WriteHeader(s int)   { w.status = s }
func (w *plainWriter) Write(p []byte) (int, error) {
	w.writes++
	w.body = append(w.body, p...)
	return len(p), nil
}

func TestCompressible(t *testing.T) {
	for mt, want := range map[string]bool{
		"text/html": true, "text/event-stream": true, "application/json": true, "application/ld+json": true, "application/atom+xml": true,
		"application/problem+json": true, "application/openapi+yaml": true, "application/x-ndjson": true, "text/javascript": true,
		"application/javascript": true, "application/xml": true, "application/wasm": true, "image/svg+xml": true, "image/bmp": true,
		"image/x-icon": true, "image/vnd.microsoft.icon": true, "font/ttf": true, "font/otf": true, "model/gltf+json": true,
		"application/grpc": false, "application/grpc+json": false, "application/grpc-web+proto": false, "image/png": false, "image/jpeg": false,
		"audio/mpeg": false, "video/mp4": false, "application/zip": false, "application/gzip": false, "font/woff": false, "font/woff2": false,
		"application/octet-stream": false, "": false, "application/pdf": false, "application/jsonx": false,
	} {
		if got := compress.Compressible(mt); got != want {
			t.Errorf("Compressible(%q) = %v", mt, got)
		}
	}
}

func TestD5_SmallBodies(t *testing.T) {
	decisions(t, []decision{
		{"1,023 bytes", 200, "Content-Type: text/plain", text(1023), "", varies, "small"},
		{"1,024 bytes", 200, "Content-Type: text/plain", text(1024), "gzip", varies, ""},
		{"declared", 200, "Content-Type: text/plain\nContent-Length: 5", []byte("hello"), "", varies, "small"},
		{"empty", 200, "Content-Type: text/plain", nil, "", varies, "small"},
	})
	c := mustNew(t, compress.Config{MinSize: -1})
	w := get(c.Handler(serve(200, "Content-Type: text/plain", []byte(strings.Repeat("a", 100)))), "Accept-Encoding: gzip")
	if w.Header().Get("Content-Encoding") != "gzip" {
		t.Error("no minimum: not encoded")
	}
	c = mustNew(t, compress.Config{})
	w = get(c.Handler(serve(200, "Content-Type: text/plain", text(2000))), "Accept-Encoding: identity")
	if c.Stats().Skipped["client"] != 1 || w.Header().Get("Vary") != varies {
		t.Errorf("identity wanted: %v %+v", w.Header(), c.Stats())
	}
}

func TestD6_WhatDoesNotGetSmallerStays(t *testing.T) {
	noise := make([]byte, 3000)
	_, _ = rand.Read(noise)
	decisions(t, []decision{
		{"noise", 200, "Content-Type: text/plain\nEtag: \"v\"", noise, "", varies, "larger"},
		{"noise with its length", 200, "Content-Type: text/plain\nContent-Length: 3000", noise, "", varies, "larger"},
	})
}

// D7: until the decision nothing is sent and no header is changed.
func TestD7_WhenTheDecisionFalls(t *testing.T) {
	type look struct {
		status int
		coding string
		n      int
	}
	for _, tc := range []struct {
		name   string
		f      func(w http.ResponseWriter, sent func() look)
		before look // directly before the handler returns
		after  string
	}{
		{"a status that settles it", func(w http.ResponseWriter, _ func() look) { w.WriteHeader(204) }, look{204, "", 0}, ""},
		{"a type that settles it", func(w http.ResponseWriter, _ func() look) {
			w.Header().Set("Content-Type", "image/png")
			w.WriteHeader(200)
		}, look{200, "", 0}, ""},
		{"the whole declared length", func(w http.ResponseWriter, sent func() look) {
			w.Header().Set("Content-Length", "2000")
			_, _ = w.Write(text(2000)[:1999])
			if sent() != (look{}) {
				t.Error("sent before the last byte")
			}
			_, _ = w.Write(text(2000)[1999:])
		}, look{200, "gzip", 1}, "gzip"},
		{"64 KiB are held", func(w http.ResponseWriter, sent func() look) {
			_, _ = w.Write(text(64 << 10))
			if sent() != (look{}) {
				t.Error("sent at 64 KiB: one more byte was to decide")
			}
			_, _ = w.Write([]byte("x"))
		}, look{200, "gzip", 1}, "gzip"},
		{"flush", func(w http.ResponseWriter, sent func() look) {
			_, _ = w.Write(text(100))
			_ = http.NewResponseController(w).Flush()
		}, look{200, "gzip", 1}, "gzip"},
		{"the end", func(w http.ResponseWriter, _ func() look) { _, _ = w.Write(text(2000)) }, look{}, "gzip"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := &plainWriter{header: http.Header{}}
			sent := func() look {
				if out.status == 0 {
					if _, changed := out.header["Vary"]; changed {
						t.Error("the header was changed before it was sent")
					}
					return look{}
				}
				return look{out.status, out.header.Get("Content-Encoding"), min(out.writes, 1)}
			}
			mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tc.f(flushable{w}, sent)
				got := sent()
				if tc.name == "64 KiB are held" {
					got.n = 1 // the encoder holds the first block
				}
				if got != tc.before {
					t.Errorf("before the return: %v, want %v", got, tc.before)
				}
			})).ServeHTTP(out, request("GET", "Accept-Encoding: gzip"))
			if got := out.header.Get("Content-Encoding"); got != tc.after {
				t.Errorf("at the end: %q, want %q", got, tc.after)
			}
		})
	}
}

type flushable struct{ http.ResponseWriter }

func (f flushable) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func TestH1_EncodedHeader(t *testing.T) {
	fields := "Content-Type: text/plain\nAccept-Ranges: bytes\nContent-Digest: x\nRepr-Digest: x\nDigest: x\nContent-Md5: x\nEtag: \"v\"\nTrailer: Repr-Digest, X-Sum\nX-Own: kept"
	w := get(mustNew(t, compress.Config{}).Handler(serve(200, fields, text(2000))), "Accept-Encoding: gzip")
	h := w.Result().Header
	for _, gone := range []string{"Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Content-Length"} {
		if _, ok := h[gone]; ok {
			t.Errorf("%s is left", gone)
		}
	}
	if h.Get("Trailer") != "X-Sum" || h.Get("X-Own") != "kept" || h.Get("Etag") != `"v~gzip"` || h.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v", h)
	}
	whole := get(mustNew(t, compress.Config{}).Handler(serve(200, "Content-Type: text/plain", text(2000))), "Accept-Encoding: gzip")
	if got := whole.Header().Get("Content-Length"); got != itoa(whole.Body.Len()) {
		t.Errorf("Content-Length %s of %d bytes", got, whole.Body.Len())
	}
	streamed := get(mustNew(t, compress.Config{}).Handler(serve(200, "Content-Type: text/plain\nContent-Length: 100000", text(100_000))), "Accept-Encoding: gzip")
	if _, ok := streamed.Header()["Content-Length"]; ok || streamed.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("streamed: %v", streamed.Header())
	}
	late := get(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(text(100_000))
		w.Header().Set(http.TrailerPrefix+"Repr-Digest", "x")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})), "Accept-Encoding: gzip")
	if got := late.Result().Trailer; got.Get("Repr-Digest") != "" || got.Get("X-Sum") != "1" {
		t.Errorf("trailers %v", got)
	}
}

func TestH2_Vary(t *testing.T) {
	decisions(t, []decision{
		{"merged", 200, "Content-Type: text/plain\nVary: Origin", text(2000), "gzip", "Origin, Accept-Encoding", ""},
		{"once", 200, "Content-Type: text/plain\nVary: accept-encoding", text(2000), "gzip", "accept-encoding", ""},
		{"*", 200, "Content-Type: text/plain\nVary: *", text(2000), "gzip", "*", ""},
		{"an error", 404, "Content-Type: text/plain", []byte("no"), "", varies, "small"},
		{"not on what is never encoded", 200, "Content-Type: image/png", text(2000), "", "", "type"},
	})
	// Two responses of one URL, encoded and not, must say the same.
	c := mustNew(t, compress.Config{})
	h := c.Handler(serve(200, "Content-Type: text/plain", text(2000)))
	for _, accept := range []string{"gzip", "identity", "br;q=0"} {
		if got := get(h, "Accept-Encoding: "+accept).Header()["Vary"]; !slices.Equal(got, []string{varies}) {
			t.Errorf("%s: Vary %q", accept, got)
		}
	}
	if got := get(h).Header()["Vary"]; !slices.Equal(got, []string{varies}) {
		t.Errorf("without the field: Vary %q", got)
	}
	if got := do(h, "HEAD", "Accept-Encoding: gzip").Header()["Vary"]; !slices.Equal(got, []string{varies}) {
		t.Errorf("HEAD: Vary %q", got)
	}
}

func TestH3_LateChangesDoNotLeak(t *testing.T) {
	w := get(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		h.Set("X-Own", "early")
		h.Set("Trailer", "X-Sum")
		_, _ = w.Write(text(500))
		h.Set("X-Own", "late")
		h.Set("X-New", "late")
		h.Del("Content-Type")
		_, _ = w.Write(text(2000))
		h.Set("X-Sum", "1")
		h.Set(http.TrailerPrefix+"X-More", "2")
	})), "Accept-Encoding: gzip")
	res := w.Result()
	if res.Header.Get("X-Own") != "early" || res.Header.Get("X-New") != "" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("leaked: %v", res.Header)
	}
	if res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("X-More") != "2" {
		t.Errorf("trailers %v", res.Trailer)
	}
}

func TestH4_Framing(t *testing.T) {
	for _, tc := range []struct {
		name, accept, want string
		h                  http.Handler
	}{
		{"held to its end and plain", "gzip", "500", serve(200, "Content-Type: text/plain", text(200), text(300))},
		{"held to its end with trailers", "gzip", "", serve(200, "Content-Type: text/plain\nTrailer: X", text(200), text(300))},
		{"never held, with a length", "identity", "2000", serve(200, "Content-Type: text/plain\nContent-Length: 2000", text(2000))},
		{"never held, without", "identity", "", serve(200, "Content-Type: text/plain", text(2000))},
		{"never held for its type", "gzip", "", serve(200, "Content-Type: image/png", text(2000))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(mustNew(t, compress.Config{}).Handler(tc.h), "Accept-Encoding: "+tc.accept)
			if got := w.Header().Get("Content-Length"); got != tc.want || w.Header().Get("Content-Encoding") != "" {
				t.Errorf("Content-Length %q, want %q", got, tc.want)
			}
		})
	}
}
