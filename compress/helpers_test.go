package compress_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func mustNew(t testing.TB, cfg compress.Config) *compress.Compressor {
	t.Helper()
	c, err := compress.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get asks h for "/" with fields as "Name: value", and returns what a client sees.
func get(h http.Handler, fields ...string) *httptest.ResponseRecorder { return do(h, "GET", fields...) }

func do(h http.Handler, method string, fields ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(method, fields...))
	return w
}

func request(method string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// text is a body that every coding makes smaller.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"item %d","price":%d.%02d},`, i, i*7919%1000, i%90, i*31%100)
	}
	return b.Bytes()[:n]
}

// serve is a handler with fields, a status and a body in pieces.
func serve(status int, fields string, pieces ...[]byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for f := range strings.SplitSeq(fields, "\n") {
			if name, value, ok := strings.Cut(f, ": "); ok {
				w.Header().Add(name, value)
			}
		}
		w.WriteHeader(status)
		for _, p := range pieces {
			_, _ = w.Write(p)
		}
	})
}

// decoded undoes the coding of a body, "" being none. Unlike browsers it refuses what is cut.
func decoded(t testing.TB, coding string, body []byte) []byte {
	t.Helper()
	plain, err := decode(coding, body)
	if err != nil {
		t.Errorf("a %s body of %d bytes does not decode: %v", coding, len(body), err)
	}
	return plain
}

func decode(coding string, body []byte) ([]byte, error) {
	if coding == "" {
		return body, nil
	}
	d, err := compress.NewDecompressor(compress.DecompressorConfig{MaxBytes: 1 << 30})
	if err != nil {
		return nil, err
	}
	var plain []byte
	r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
	r.Header.Set("Content-Encoding", coding)
	d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain, err = io.ReadAll(r.Body)
	})).ServeHTTP(httptest.NewRecorder(), r)
	return plain, err
}

func itoa(n int) string { return fmt.Sprint(n) }

// quietLog is for servers whose handlers panic on purpose.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }
