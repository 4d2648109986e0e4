package compress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
)

// flushWriter is an inner writer that notes what was out at each flush.
type flushWriter struct {
	plainWriter
	flushed []int
	fail    error
}

func (w *flushWriter) FlushError() error {
	w.flushed = append(w.flushed, len(w.body))
	return w.fail
}

func (w *flushWriter) Write(p []byte) (int, error) {
	if w.fail != nil {
		return 0, w.fail
	}
	return w.plainWriter.Write(p)
}

func stream(t *testing.T, cfg compress.Config, accept string, f func(w http.ResponseWriter, out *flushWriter)) *flushWriter {
	t.Helper()
	out := &flushWriter{plainWriter: plainWriter{header: http.Header{}}}
	mustNew(t, cfg).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, out) })).
		ServeHTTP(out, request("GET", "Accept-Encoding: "+accept))
	return out
}

// prefix decodes what is there of a coded body that has not ended.
func prefix(t *testing.T, coding string, coded []byte) string {
	t.Helper()
	plain, err := decode(coding, coded)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%s: %v", coding, err)
	}
	return string(plain)
}

func TestF1_Flush(t *testing.T) {
	for _, coding := range []string{"zstd", "br", "gzip"} {
		t.Run(coding, func(t *testing.T) {
			sent := ""
			out := stream(t, compress.Config{}, coding, func(w http.ResponseWriter, out *flushWriter) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				if out.status != 200 || out.header.Get("Content-Encoding") != coding || len(out.flushed) != 1 {
					t.Errorf("no header at a flush without a byte: %d %v", out.status, out.header)
				}
				for i := range 20 {
					event := fmt.Sprintf("data: event %d\n\n", i)
					sent += event
					_, _ = io.WriteString(w, event)
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Fatal(err)
					}
					if got := prefix(t, coding, out.body); got != sent {
						t.Fatalf("after event %d the client has %q", i, got)
					}
				}
			})
			if got := string(decoded(t, coding, out.body)); got != sent {
				t.Errorf("at the end %q", got)
			}
		})
	}
	out := stream(t, compress.Config{}, "gzip", func(w http.ResponseWriter, out *flushWriter) {
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(text(3000))
	})
	if out.header.Get("Content-Encoding") != "" || len(out.body) != 3000 {
		t.Errorf("no type and no byte must be plain: %v", out.header)
	}
	broken := errors.New("broken pipe")
	stream(t, compress.Config{}, "gzip", func(w http.ResponseWriter, out *flushWriter) {
		_, _ = w.Write(text(3000))
		out.fail = broken
		if err := http.NewResponseController(w).Flush(); err != broken {
			t.Errorf("the inner flush's error: %v", err)
		}
	})
}

func TestF2_EventStreamsTakeGzip(t *testing.T) {
	for _, tc := range []struct {
		name, accept, mediaType string
		first                   int
		cfg                     compress.Config
		want                    string
	}{
		{"at equal weight", "zstd, br, gzip", "text/event-stream", 100, compress.Config{}, "gzip"},
		{"NDJSON with much at first", "zstd, gzip", "application/x-ndjson", 5000, compress.Config{}, "gzip"},
		{"JSON Lines", "zstd, gzip", "application/jsonl", 5000, compress.Config{}, "gzip"},
		{"JSON text sequences", "zstd, gzip", "application/json-seq", 5000, compress.Config{}, "gzip"},
		{"less than 4 KiB at the first flush", "zstd, gzip", "text/html", 4095, compress.Config{}, "gzip"},
		{"4 KiB at the first flush", "zstd, gzip", "text/html", 4096, compress.Config{}, "zstd"},
		{"a lower weight", "zstd, gzip;q=0.9", "text/event-stream", 100, compress.Config{}, "zstd"},
		{"gzip is not on offer", "zstd, gzip", "text/event-stream", 100, compress.Config{Codings: []compress.Coding{compress.Zstd(0)}}, "zstd"},
		{"gzip is somebody else's", "lz, gzip", "text/event-stream", 100, compress.Config{Codings: []compress.Coding{named("lz"), named("gzip")}}, "lz"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := stream(t, tc.cfg, tc.accept, func(w http.ResponseWriter, out *flushWriter) {
				w.Header().Set("Content-Type", tc.mediaType)
				_, _ = w.Write(text(tc.first))
				_ = http.NewResponseController(w).Flush()
			})
			if got := out.header.Get("Content-Encoding"); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
	// The winner holds an encoder as long as the stream lives, gzip holds none.
	for accept, want := range map[string]int64{"zstd": 1, "gzip": 0} {
		c := mustNew(t, compress.Config{})
		get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			if s := c.Stats(); s.Encoders != want || s.Streams != 1 {
				t.Errorf("%s: %d encoders, %d streams", accept, s.Encoders, s.Streams)
			}
		})), "Accept-Encoding: "+accept)
		if s := c.Stats(); s.Encoders != 0 || s.Streams != 0 {
			t.Errorf("%s: %d encoders, %d streams at the end", accept, s.Encoders, s.Streams)
		}
	}
}

// F3: one valid member, whatever comes between flushes, at every level.
func TestF3_OneMemberInTurns(t *testing.T) {
	for level := 1; level <= 9; level++ {
		c := mustNew(t, compress.Config{Codings: []compress.Coding{compress.Gzip(level)}})
		var sent bytes.Buffer
		out := &flushWriter{plainWriter: plainWriter{header: http.Header{}}}
		c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			source := text(1 << 20)
			for i, n := range []int{10, 70_000, 20, 3, 24_575, 24_576, 1, 8192, 8191, 8193, 100_000, 0, 5, 40_000} {
				part := source[i*60_000 : i*60_000+n]
				sent.Write(part)
				for p := range slices.Chunk(part, 9999) {
					if _, err := w.Write(p); err != nil {
						t.Fatal(err)
					}
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Fatal(err)
				}
				if got := c.Stats().Encoders; got != 0 {
					t.Errorf("level %d: %d encoders after a flush", level, got)
				}
				if got := prefix(t, "gzip", out.body); got != sent.String() {
					t.Fatalf("level %d: %d of %d bytes decodable after part %d", level, len(got), sent.Len(), i)
				}
			}
			_, _ = w.Write(source[:50_000])
			sent.Write(source[:50_000])
		})).ServeHTTP(out, request("GET", "Accept-Encoding: gzip"))
		zr, err := gzip.NewReader(bytes.NewReader(out.body))
		if err != nil {
			t.Fatal(err)
		}
		zr.Multistream(false)
		got, err := io.ReadAll(zr)
		if err != nil || !bytes.Equal(got, sent.Bytes()) {
			t.Errorf("level %d: %d of %d bytes: %v", level, len(got), sent.Len(), err)
		}
	}
}

// events is what 300 updates of a dashboard look like.
func events() (all [][]byte) {
	for i := range 300 {
		all = append(all, fmt.Appendf(nil, "id: %d\nevent: price\ndata: {\"symbol\":\"HP%02d\",\"price\":%d.%02d,\"volume\":%d,\"at\":\"2026-11-25T21:%02d:%02dZ\"}\n\n",
			i, i*7%23, 100+i*13%50, i*37%100, i*7919%100_000, i/60, i%60))
	}
	return all
}

// F3: events are encoded against each other, and each is there before the next is made.
func TestF3_EventsAreSmall(t *testing.T) {
	plain := 0
	c := mustNew(t, compress.Config{})
	pr, pw := io.Pipe()
	defer pr.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer pw.Close()
		c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, e := range events() {
				_, _ = w.Write(e)
				_ = http.NewResponseController(w).Flush()
			}
		})).ServeHTTP(pipeWriter{http.Header{}, pw}, request("GET", "Accept-Encoding: gzip"))
	}()
	counted := &counter{r: pr}
	zr, err := gzip.NewReader(counted)
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(zr)
	for i, e := range events() {
		got := make([]byte, len(e))
		if _, err := io.ReadFull(br, got); err != nil || !bytes.Equal(got, e) {
			t.Fatalf("event %d: %q %v", i, got, err)
		}
		plain += len(e)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("behind the last event: %v", err)
	}
	<-done
	if counted.n > plain*2/5 {
		t.Errorf("%d bytes for %d of events", counted.n, plain)
	}
	t.Logf("%d bytes for %d of events", counted.n, plain)
}

type pipeWriter struct {
	header http.Header
	io.Writer
}

func (p pipeWriter) Header() http.Header { return p.header }
func (p pipeWriter) WriteHeader(int)     {}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestF4_Incremental(t *testing.T) {
	for _, tc := range []struct {
		field string
		want  bool
	}{{"?1", true}, {"?1;x=2", true}, {"?0", false}, {"1", false}, {"", false}} {
		out := stream(t, compress.Config{}, "gzip", func(w http.ResponseWriter, out *flushWriter) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Incremental", tc.field)
			for i := range 3 {
				_, _ = w.Write(text(500))
				if got := prefix(t, out.header.Get("Content-Encoding"), out.body); (len(got) == 500*(i+1)) != tc.want {
					t.Errorf("Incremental %q: %d bytes decodable after write %d", tc.field, len(got), i)
				}
			}
		})
		if tc.want && len(out.flushed) != 3 {
			t.Errorf("flushed %d times", len(out.flushed))
		}
		decoded(t, "gzip", out.body)
	}
}

// F5: what is held here and in an encoder stays below 256 KiB.
func TestF5_LittleIsHeld(t *testing.T) {
	for _, coding := range []compress.Coding{compress.Zstd(1), compress.Zstd(3), compress.Brotli(2), compress.Brotli(11), compress.Gzip(1), compress.Gzip(9)} {
		written := 0
		stream(t, compress.Config{Codings: []compress.Coding{coding}}, coding.Token(), func(w http.ResponseWriter, out *flushWriter) {
			w.Header().Set("Content-Type", "text/plain")
			body := text(600_000)
			for p := range slices.Chunk(body, 8<<10) {
				_, _ = w.Write(p)
				written += len(p)
				if written > 256<<10 {
					if got := len(prefix(t, coding.Token(), out.body)); written-got > 256<<10 {
						t.Fatalf("%s: %d bytes are held", coding.Token(), written-got)
					}
					if written > 400<<10 {
						return
					}
				}
			}
		})
	}
}

func TestF6_TheClientsErrorShows(t *testing.T) {
	gone := errors.New("client gone")
	for _, coding := range []string{"zstd", "br", "gzip"} {
		stream(t, compress.Config{}, coding, func(w http.ResponseWriter, out *flushWriter) {
			w.Header().Set("Content-Type", "text/plain")
			out.fail = gone
			var err error
			for p := range slices.Chunk(text(1<<20), 10_000) {
				if _, err = w.Write(p); err != nil {
					break
				}
			}
			if err != gone {
				t.Errorf("%s: Write says %v", coding, err)
			}
			if err := http.NewResponseController(w).Flush(); err != gone {
				t.Errorf("%s: Flush says %v", coding, err)
			}
		})
		stream(t, compress.Config{}, coding, func(w http.ResponseWriter, out *flushWriter) {
			w.Header().Set("Content-Length", "2000")
			out.fail = gone
			if _, err := w.Write(text(2000)); err != gone {
				t.Errorf("%s, whole: Write says %v", coding, err)
			}
		})
	}
}

func TestP1_NothingIsFinalisedOnPanic(t *testing.T) {
	recoverer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					http.Error(w, "oops", 500)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	c := mustNew(t, compress.Config{})
	w := get(recoverer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text(5000))
		panic("late")
	}))), "Accept-Encoding: gzip")
	if w.Code != 500 || w.Body.String() != "oops\n" || len(w.Header()["Content-Encoding"])+len(w.Header()["Vary"]) > 0 {
		t.Errorf("nothing was sent: a recoverer must be free to answer: %d %v %q", w.Code, w.Header(), w.Body.String())
	}
	for _, coding := range []string{"zstd", "br", "gzip"} {
		for range 50 {
			w = get(recoverer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(text(100_000))
				_ = http.NewResponseController(w).Flush()
				panic("in the middle")
			}))), "Accept-Encoding: "+coding)
			if _, err := decode(coding, w.Body.Bytes()); err == nil {
				t.Fatalf("%s: a cut body decodes as if it were whole", coding)
			}
		}
		if w := get(c.Handler(serve(200, "Content-Type: text/plain", text(100_000))), "Accept-Encoding: "+coding); string(decoded(t, coding, w.Body.Bytes())) != string(text(100_000)) {
			t.Errorf("%s: the pools are not clean after 50 panics", coding)
		}
	}
	if s := c.Stats(); s.Encoders != 0 || s.Aborted != 150 || s.Streams != 0 {
		t.Errorf("%d encoders in use, %d aborted, %d streams", s.Encoders, s.Aborted, s.Streams)
	}
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("ErrAbortHandler did not pass")
			}
		}()
		get(c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })), "Accept-Encoding: gzip")
	}()
}

func TestP2_AStaleWriterFails(t *testing.T) {
	for _, accept := range []string{"gzip", "identity"} {
		var stale http.ResponseWriter
		rec := get(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stale = w
			_, _ = w.Write(text(3000))
		})), "Accept-Encoding: "+accept)
		n := rec.Body.Len()
		if _, err := stale.Write([]byte("x")); err == nil {
			t.Error("Write works")
		}
		if _, err := io.WriteString(stale, "x"); err == nil {
			t.Error("WriteString works")
		}
		if _, err := stale.(io.ReaderFrom).ReadFrom(bytes.NewReader([]byte("x"))); err == nil {
			t.Error("ReadFrom works")
		}
		if err := stale.(interface{ FlushError() error }).FlushError(); err == nil {
			t.Error("Flush works")
		}
		if _, _, err := stale.(http.Hijacker).Hijack(); err == nil {
			t.Error("Hijack works")
		}
		stale.Header().Set("X", "y")
		stale.WriteHeader(500)
		if rec.Body.Len() != n || rec.Header().Get("X") != "" || len(stale.Header()) != 0 {
			t.Error("something got through")
		}
		if stale.(interface{ Unwrap() http.ResponseWriter }).Unwrap() != http.ResponseWriter(rec) {
			t.Error("Unwrap does not work")
		}
	}
}

func TestP3_AnEncoderThatFails(t *testing.T) {
	bad := errors.New("out of order")
	cannot := &failing{next: func() (compress.Encoder, error) { return nil, bad }}
	fails := &failing{next: func() (compress.Encoder, error) { return &halver{fail: bad}, nil }}
	for _, coding := range []compress.Coding{cannot, fails} {
		c := mustNew(t, compress.Config{Codings: []compress.Coding{coding}})
		var w *httptest.ResponseRecorder
		for range 3 { // the first finds New's encoder in the pool
			w = get(c.Handler(serve(200, "Content-Type: text/plain\nEtag: \"v\"", text(3000))), "Accept-Encoding: lz")
			if w.Header().Get("Content-Encoding") != "" || w.Header().Get("Etag") != `"v"` || w.Body.String() != string(text(3000)) || w.Header().Get("Vary") == "" {
				t.Errorf("before the decision: %v", w.Header())
			}
		}
		if s := c.Stats(); s.Failed != 3 || s.Responses["identity"] != 3 {
			t.Errorf("%+v", s)
		}
	}
	if fails.made < 3 {
		t.Errorf("%d encoders were made, want New's and one for each that failed but the first: none goes back to the pool", fails.made)
	}

	// A streamed body: no encoder to have is identity, a failing one is an abort.
	c := mustNew(t, compress.Config{Codings: []compress.Coding{fails}})
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("after the decision the response must be aborted")
		}
		if s := c.Stats(); s.Failed != 1 || s.Aborted != 1 || s.Encoders != 0 {
			t.Errorf("%+v", s)
		}
	}()
	get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if _, err := w.Write(text(100_000)); !errors.Is(err, bad) && err == nil {
			t.Errorf("Write says %v", err)
		}
		_, _ = w.Write(text(10))
	})), "Accept-Encoding: lz")
}
