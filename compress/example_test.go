package compress_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/hotpath-go/hotpath/compress"
)

func ExampleNew() {
	c, err := compress.New(compress.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"v7"`)
		_, _ = io.WriteString(w, strings.Repeat(`{"name":"item"},`, 500))
	})
	h := c.Handler(mux)

	r := httptest.NewRequest("GET", "/items", nil)
	r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Header().Get("Content-Encoding"), w.Header().Get("ETag"), w.Body.Len() < 200)
	// Output: zstd "v7~zstd" true
}

// A page that has a secret and text of somebody else's tells the secret by its length (BREACH).
func ExampleOff() {
	c, err := compress.New(compress.Config{})
	if err != nil {
		log.Fatal(err)
	}
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		compress.Off(w)
		fmt.Fprintf(w, "<p>Results for %s</p><input type=hidden name=token value=s3cret>%s", "...", strings.Repeat(" ", 2000))
	}))

	r := httptest.NewRequest("GET", "/search?q=...", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Printf("%q %d\n", w.Header().Get("Content-Encoding"), c.Stats().Skipped["off"])
	// Output: "" 1
}

// Types of one's own, besides the usual ones.
func ExampleConfig_types() {
	c, err := compress.New(compress.Config{
		Types: func(mediaType string) bool {
			return mediaType == "application/x-protobuf" || compress.Compressible(mediaType)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(make([]byte, 5000))
	}))

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "br")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Header().Get("Content-Encoding"))
	// Output: br
}

func ExampleNewDecompressor() {
	d, err := compress.NewDecompressor(compress.DecompressorConfig{MaxBytes: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	h := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var items []int
		err := json.NewDecoder(r.Body).Decode(&items)
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			http.Error(w, "at most 1 MiB", http.StatusRequestEntityTooLarge)
		case err != nil:
			http.Error(w, "bad body", http.StatusBadRequest)
		}
	}))

	send := func(coding, body string) int {
		var wire bytes.Buffer
		zw := gzip.NewWriter(&wire)
		_, _ = io.WriteString(zw, body)
		_ = zw.Close()
		r := httptest.NewRequest("POST", "/", &wire)
		r.Header.Set("Content-Encoding", coding)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	fmt.Println(send("gzip", "[1, 2, 3]"))
	fmt.Println(send("gzip", "["+strings.Repeat(" ", 2<<20)+"]"))
	fmt.Println(send("lzma", "[]"))
	// Output:
	// 200
	// 413
	// 415
}

// A Skip that looks at Accept-Encoding poisons caches: the answer that it passes has no Vary, so a
// cache gives it to everybody, and what is encoded is not what the next client asked for.
func ExampleConfig_pitfall() {
	c, err := compress.New(compress.Config{
		Skip: func(r *http.Request) bool { return !strings.Contains(r.Header.Get("Accept-Encoding"), "br") },
	})
	if err != nil {
		log.Fatal(err)
	}
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("hello ", 500))
	}))

	for _, accept := range []string{"br", "gzip"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Printf("%s: coding %q, Vary %q\n", accept, w.Header().Get("Content-Encoding"), w.Header().Get("Vary"))
	}
	// Output:
	// br: coding "br", Vary "Accept-Encoding"
	// gzip: coding "", Vary ""
}
