package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// A Client does actions against one shop, one request after the other, and decodes the answers.
type Client struct {
	addr   string
	batch  bool // a home screen is one request
	client *load.Client
	stop   func() bool
}

// NewClient returns a client of the shop. It ends with ctx.
func NewClient(ctx context.Context, t Target) *Client {
	c := load.NewClient()
	return &Client{addr: t.Addr, batch: t.Batch(), client: c, stop: context.AfterFunc(ctx, c.Close)}
}

// Close drops the connections.
func (c *Client) Close() {
	c.stop()
	c.client.Close()
}

// patience is how long a request may take.
const patience = 10 * time.Second

// Do does an action and returns the bodies of its answers: of a home screen always ten.
func (c *Client) Do(ctx context.Context, a Action) (bodies [][]byte, err error) {
	for _, want := range a.via(c.batch) {
		body, err := c.ask(ctx, a.Consumer, want)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	if c.batch && a.Kind == Home {
		return parts(bodies[0])
	}
	return bodies, nil
}

// parts takes the answer to a batch apart.
func parts(body []byte) (bodies [][]byte, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	for _, part := range list {
		bodies = append(bodies, part)
	}
	return bodies, nil
}

func (c *Client) ask(ctx context.Context, consumer string, want Request) (body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.client.Do(ctx, c.addr, want.bytes(c.addr, consumer), func(a load.Answer) error {
		if err := load.Expect(a, want.Status); err != nil {
			return err
		}
		body, err = decoded(a.Coding, a.Body)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", want.Method, want.Path, err)
	}
	return body, nil
}

// bytes is the request as it is sent.
func (r Request) bytes(host, consumer string) []byte {
	return load.Request(r.Method, host, r.Path, r.Body, "X-Api-Key: "+consumer, "Accept-Encoding: zstd, br, gzip")
}

// via returns the requests of an action; with a batch endpoint a home screen is one.
func (a Action) via(batch bool) []Request {
	if !batch || a.Kind != Home {
		return a.Requests
	}
	ids := make([]string, len(a.Requests))
	for i, r := range a.Requests {
		ids[i] = strings.TrimPrefix(r.Path, "/products/")
	}
	return []Request{{"POST", "/batch", strings.Join(ids, ","), 200}}
}

// decoded undoes a content coding. The body is a new one.
func decoded(coding string, body []byte) ([]byte, error) {
	var r io.Reader
	switch coding {
	case "":
		return slices.Clone(body), nil
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
