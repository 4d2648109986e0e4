package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/cache/ristrettostore"
)

// variantNames are the ways in which the shop is written, in the order of the table.
var variantNames = []string{"before", "tuned", "after", ristrettoName}

// ristrettoName is After on the engine cache/ristrettostore; the table has it with -engine.
const ristrettoName = "after+ristretto"

// A Variant is a shop that is being served.
type Variant struct {
	Name   string
	Store  *Store
	Layers *Layers
	URL    string
	Wire   *Wire

	server *http.Server
	done   chan error
}

// newHandler returns the handler of a variant, and prepares its store for it.
func newHandler(ctx context.Context, name string, s *Store, on Switches) (http.Handler, *Layers, error) {
	if name != "before" {
		if err := s.Define(ctx, tunedIndexes...); err != nil {
			return nil, nil, err
		}
	}
	switch name {
	case "before":
		return Before(s), new(Layers), nil
	case "tuned":
		return Tuned(s), new(Layers), nil
	case "after":
		h, layers := After(s, on, nil)
		return h, layers, nil
	case ristrettoName:
		engine, err := ristrettostore.New[pageKey, []byte](ristrettostore.Config{})
		if err != nil {
			return nil, nil, err
		}
		h, layers := After(s, on, engine)
		layers.Close = func() { _ = engine.Close(context.Background()) }
		return h, layers, nil
	}
	return nil, nil, fmt.Errorf("variant is %q: must be one of %s", name, strings.Join(variantNames, ", "))
}

// serveVariant serves a variant at addr, which may end in ":0".
func serveVariant(ctx context.Context, name string, s *Store, on Switches, addr string) (*Variant, error) {
	h, layers, err := newHandler(ctx, name, s, on)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		layers.close()
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, reason(err))
	}
	v := &Variant{
		Name: name, Store: s, Layers: layers, Wire: new(Wire), URL: "http://" + listener.Addr().String(),
		server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, done: make(chan error, 1),
	}
	go func() { v.done <- v.server.Serve(&countingListener{listener, v.Wire}) }()
	return v, nil
}

// reason takes the address off a listening error, which the sentence around it names already.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Close ends the server and its store.
func (v *Variant) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if v.server.Shutdown(ctx) != nil {
		_ = v.server.Close()
	}
	<-v.done
	v.Layers.close()
	v.Store.Close()
}

func (l *Layers) close() {
	if l.Close != nil {
		l.Close()
	}
}

// Wire counts the bytes of all connections of a server, headers included.
type Wire struct{ In, Out atomic.Int64 }

type countingListener struct {
	net.Listener
	wire *Wire
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{conn, l.wire}, nil
}

type countingConn struct {
	net.Conn
	wire *Wire
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.In.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.wire.Out.Add(int64(n))
	return n, err
}
