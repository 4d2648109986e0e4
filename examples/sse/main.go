// Command sse opens compressed event streams and shows what they cost: memory per stream, bytes
// on the wire, and how long an event takes to its clients.
//
//	go run -C examples ./sse            # 1,000 streams
//	go run -C examples ./sse -n 5000 -accept identity
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/compress"
)

func main() {
	n := flag.Int("n", 1000, "streams")
	events := flag.Int("events", 20, "events on each")
	accept := flag.String("accept", "gzip", "Accept-Encoding of the clients: gzip or identity")
	flag.Parse()
	if err := run(os.Stdout, *n, *events, *accept); err != nil {
		log.Fatal(err)
	}
}

// A hub sends each event to every stream.
type hub struct {
	mu      sync.Mutex
	streams map[chan string]bool
}

func (h *hub) send(event string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		s <- event
	}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mine := make(chan string, 64)
	h.mu.Lock()
	h.streams[mine] = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.streams, mine)
		h.mu.Unlock()
	}()

	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	_ = flush() // EventSource.onopen
	for {
		select {
		case event := <-mine:
			if _, err := io.WriteString(w, event); err != nil {
				return
			}
			if err := flush(); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func run(out io.Writer, n, events int, accept string) error {
	if accept != "gzip" && accept != "identity" {
		return fmt.Errorf("-accept is %q: must be gzip or identity, which these clients read", accept)
	}
	c, err := compress.New(compress.Config{})
	if err != nil {
		return err
	}
	h := &hub{streams: map[chan string]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: c.Handler(h), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(listener) }()
	defer srv.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	empty := inUse()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	clients := clients{accept: accept, seen: make(chan time.Duration, n)}
	for range n {
		res, err := clients.open(ctx, listener.Addr().String())
		if err != nil {
			return err
		}
		wg.Go(func() { clients.read(res) })
	}
	var slowest time.Duration
	for i := range events {
		h.send(fmt.Sprintf("id: %d\ndata: {\"price\":%d,\"at\":%d}\n\n", i, 100+i*13%50, time.Now().UnixNano()))
		for range n {
			slowest = max(slowest, <-clients.seen)
		}
	}
	held := (inUse() - empty) / int64(n)
	fmt.Fprintf(out, "%d streams (%s), %d events each\n", n, accept, events)
	fmt.Fprintf(out, "memory: %.1f KiB a stream, client and server together; %d encoders held\n", float64(held)/1024, c.Stats().Encoders)
	fmt.Fprintf(out, "wire: %d bytes a stream\n", clients.wire.Load()/int64(n))
	fmt.Fprintf(out, "slowest event: %v\n", slowest.Round(time.Millisecond))
	return nil
}

type clients struct {
	accept string
	seen   chan time.Duration
	wire   atomic.Int64
}

func (c *clients) open(ctx context.Context, addr string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept-Encoding", c.accept)
	return http.DefaultClient.Do(r)
}

// read tells for each event how long it took.
func (c *clients) read(res *http.Response) {
	defer res.Body.Close()
	body := io.Reader(&counted{res.Body, &c.wire})
	if res.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(body)
		if err != nil {
			return
		}
		body = zr
	}
	for lines := bufio.NewScanner(body); lines.Scan(); {
		var price, at int64
		if _, err := fmt.Sscanf(lines.Text(), `data: {"price":%d,"at":%d}`, &price, &at); err == nil {
			c.seen <- time.Since(time.Unix(0, at))
		}
	}
}

type counted struct {
	r     io.Reader
	total *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.total.Add(int64(n))
	return n, err
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
