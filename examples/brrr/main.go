// Command brrr plugs a brotli encoder of another maker into compress, and shows what it is worth
// beside the built-in one.
//
//	go run -C examples ./brrr           # 36 KB of JSON, levels 2 and 5
//	go run -C examples ./brrr -size 100000
//
// github.com/molecule-man/go-brrr is fast and young. That a coding is an interface of two methods
// is why nobody has to wait for the other.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/molecule-man/go-brrr"

	"github.com/hotpath-go/hotpath/compress"
)

// A coding is "br" by go-brrr: its Writer is a compress.Encoder as it stands.
type coding struct{ level int }

func (c coding) Token() string { return "br" }

func (c coding) NewEncoder() (compress.Encoder, error) {
	// The window of the built-in one: 128 KiB, so that a pooled encoder stays small.
	return brrr.NewWriterOptions(io.Discard, c.level, brrr.WriterOptions{LGWin: 17})
}

func main() {
	size := flag.Int("size", 36_000, "bytes of the body")
	flag.Parse()
	if err := run(os.Stdout, *size, time.Second); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer, size int, each time.Duration) error {
	body := list(size)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	fmt.Fprintf(out, "%d bytes of JSON            bytes       time\n", len(body))
	for _, level := range []int{2, 5} {
		for _, row := range []struct {
			name   string
			coding compress.Coding
		}{{"built-in", compress.Brotli(level)}, {"go-brrr", coding{level}}} {
			c, err := compress.New(compress.Config{Codings: []compress.Coding{row.coding, compress.Gzip(0)}})
			if err != nil {
				return err
			}
			wire, took, err := measure(c.Handler(h), body, each)
			if err != nil {
				return fmt.Errorf("%s, level %d: %w", row.name, level, err)
			}
			fmt.Fprintf(out, "%-8s  level %d  %14d  %9v\n", row.name, level, wire, took.Round(time.Microsecond))
		}
	}
	return nil
}

// measure asks h again and again for as long as each, and returns the bytes and the time of an
// answer. That it decodes to body is checked first.
func measure(h http.Handler, body []byte, each time.Duration) (wire int, took time.Duration, err error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "br")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Encoding"); got != "br" {
		return 0, 0, fmt.Errorf("Content-Encoding is %q", got)
	}
	wire = w.Body.Len()
	decoded, err := io.ReadAll(brrr.NewReader(w.Body))
	if err != nil || !bytes.Equal(decoded, body) {
		return 0, 0, fmt.Errorf("decodes to %d bytes, %v", len(decoded), err)
	}
	n, begin := 0, time.Now()
	for n == 0 || time.Since(begin) < each {
		h.ServeHTTP(httptest.NewRecorder(), r)
		n++
	}
	return wire, time.Since(begin) / time.Duration(n), nil
}

// list is JSON as an API sends it.
func list(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"id":%d,"sku":"A-%05d","price":%d.%02d,"stock":%d,"tags":["t%d","t%d"]},`,
			i, i*7919%100_000, i%90, i*31%100, i*131%1000, i%7, i%11)
	}
	return b.Bytes()
}
