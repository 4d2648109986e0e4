package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// A Client does actions against one variant.
type Client struct {
	url    string
	http   *http.Client
	decode bool // for who looks at the answers; the load only reads them
}

// NewClient returns a client for up to parallel actions at a time.
func NewClient(url string, parallel int) *Client {
	return &Client{decode: true, url: url, http: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConns: parallel, MaxIdleConnsPerHost: parallel, DisableCompression: true},
	}}
}

// Close drops the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do does an action and returns the bodies of its answers. A wrong status or a cut body is an
// error: a failure is never a fast success.
func (c *Client) Do(ctx context.Context, a Action) (bodies [][]byte, err error) {
	for _, want := range a.Requests {
		body, err := c.ask(ctx, a.Consumer, want)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

func (c *Client) ask(ctx context.Context, consumer string, want Request) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, want.Method, c.url+want.Path, strings.NewReader(want.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Api-Key", consumer)
	r.Header.Set("Accept-Encoding", "zstd, br, gzip") // as browsers do
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != want.Status {
		return nil, fmt.Errorf("%s %s: status %d, want %d: %.200s", want.Method, want.Path, res.StatusCode, want.Status, body)
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && c.decode {
		return decoded(coding, body)
	}
	return body, nil
}

// decoded undoes a content coding.
func decoded(coding string, body []byte) ([]byte, error) {
	var r io.Reader
	switch coding {
	case "gzip":
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r = unzipped
	case "br":
		r = brotli.NewReader(bytes.NewReader(body))
	case "zstd":
		d, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	default:
		return nil, fmt.Errorf("Content-Encoding is %q, which nobody asked for", coding)
	}
	return io.ReadAll(r)
}

// A Phase is what one closed loop measured.
type Phase struct {
	Took      time.Duration
	Latencies []time.Duration // of the actions that succeeded, sorted
	Failed    int
	Slow      int // over a second
	FirstErr  error
	Requests  int
	Counts    Counts
	In, Out   int64
	CPU       time.Duration // of the whole process: server and clients
}

// Done is how many actions succeeded.
func (p *Phase) Done() int { return len(p.Latencies) }

// Quantile returns the nearest-rank quantile; ok is false if fewer than ten samples lie
// beyond it, for then it is an accident.
func (p *Phase) Quantile(q float64) (d time.Duration, ok bool) {
	n := len(p.Latencies)
	rank := int(float64(n)*q + 0.999999)
	if n-rank < 10 {
		return 0, false
	}
	return p.Latencies[max(rank, 1)-1], true
}

// closedLoop lets clients do one action after the other until limit actions are done or the
// time is over, whichever is first; 0: no limit.
func closedLoop(ctx context.Context, v *Variant, w *Workload, clients, limit int, length time.Duration) *Phase {
	client := NewClient(v.URL, clients)
	client.decode = false
	defer client.Close()
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length+10*time.Second) // for those under way at the end
		defer cancel()
	}
	var mu sync.Mutex
	phase, taken := new(Phase), 0
	counts, in, out, cpu := v.Store.Counts(), v.Wire.In.Load(), v.Wire.Out.Load(), cpuTime()
	start := time.Now()
	next := func() (a Action, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if limit > 0 && taken >= limit || length > 0 && time.Since(start) >= length || ctx.Err() != nil {
			return a, false
		}
		taken++
		return w.Next(), true
	}
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for a, ok := next(); ok; a, ok = next() {
				begin := time.Now()
				_, err := client.Do(ctx, a)
				phase.add(&mu, a, time.Since(begin), err)
			}
		})
	}
	wg.Wait()
	phase.Took, phase.CPU = time.Since(start), cpuTime()-cpu
	phase.In, phase.Out = v.Wire.In.Load()-in, v.Wire.Out.Load()-out
	now := v.Store.Counts()
	phase.Counts = Counts{now.Queries - counts.Queries, now.Rows - counts.Rows, now.Opened - counts.Opened}
	slices.Sort(phase.Latencies)
	return phase
}

func (p *Phase) add(mu *sync.Mutex, a Action, took time.Duration, err error) {
	mu.Lock()
	defer mu.Unlock()
	p.Requests += len(a.Requests)
	if err != nil {
		p.Failed++
		if p.FirstErr == nil {
			p.FirstErr = err
		}
		return
	}
	if took > time.Second {
		p.Slow++
	}
	p.Latencies = append(p.Latencies, took)
}

// warmUp is how many actions bring a variant to its pace.
func warmUp(name string) int {
	switch name {
	case "before":
		return 30
	case "tuned":
		return 500
	}
	return 10_000
}
