package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// A Client does actions against one shop, one request after the other, and decodes the answers.
type Client struct {
	shop   Target
	turn   atomic.Uint64
	client *load.Client
	stop   func() bool
}

// NewClient returns a client of the shop. It ends with ctx.
func NewClient(ctx context.Context, t Target) *Client {
	c := load.NewClient()
	return &Client{shop: t, client: c, stop: context.AfterFunc(ctx, c.Close)}
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
	for _, want := range a.via(c.shop.Home) {
		body, err := c.ask(ctx, a.Consumer, want)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	if c.shop.Home != oneByOne && a.Kind == Home {
		return parts(bodies[0])
	}
	return bodies, nil
}

func (c *Client) ask(ctx context.Context, consumer string, want Request) (body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	addr := c.shop.at(c.turn.Add(1))
	err = c.client.Do(ctx, addr, want.bytes(addr, consumer), func(a load.Answer) error {
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
	fields := []string{"X-Api-Key: " + consumer, "Accept-Encoding: zstd, br, gzip"}
	if strings.HasPrefix(r.Body, "{") {
		fields = append(fields, "Content-Type: application/json")
	}
	return load.Request(r.Method, host, r.Path, r.Body, fields...)
}

// via returns the requests of an action as a phone sends them: for lists and home screens it names
// the fields that it shows, to every shop; with a batch endpoint a home screen is one request.
func (a Action) via(home homeForm) []Request {
	if a.Kind != List && a.Kind != Home {
		return a.Requests
	}
	if a.Kind == List || home == oneByOne {
		wanted := slices.Clone(a.Requests)
		for i := range wanted {
			wanted[i].Path = onPhone(wanted[i].Path)
		}
		return wanted
	}
	ids := make([]string, len(a.Requests))
	for i, r := range a.Requests {
		ids[i] = strings.TrimPrefix(r.Path, "/products/")
	}
	return []Request{homeRequest(ids, home)}
}

// onPhone is a path with the fields that a phone shows.
func onPhone(path string) string {
	if strings.Contains(path, "?") {
		return path + "&fields=" + phoneFields
	}
	return path + "?fields=" + phoneFields
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
