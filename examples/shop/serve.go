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
var variantNames = []string{"before", "tuned", "peers", "after", ristrettoName, redisName}

// ristrettoName is After on the engine cache/ristrettostore; the table has it with -engine.
const ristrettoName = "after+ristretto"

// A Variant is a shop that is being served.
type Variant struct {
	Name   string
	Store  *Store
	Layers *Layers
	Addr   string

	home     homeForm
	server   *http.Server
	requests *atomic.Int64 // that arrived
	done     chan error
}

// newHandler returns the handler of a variant, and prepares its store for it.
func newHandler(ctx context.Context, name string, s *Store, on Switches) (http.Handler, *Layers, error) {
	if name != "before" && on.Has("indexes") {
		if err := s.Define(ctx, tunedIndexes...); err != nil {
			return nil, nil, err
		}
	}
	s.unpooled = name != "before" && !on.Has("connections")
	switch name {
	case "before":
		return Before(s), new(Layers), nil
	case "tuned":
		return Tuned(s), new(Layers), nil
	case "peers":
		h, closePeers := Peers(s)
		return h, &Layers{Close: closePeers}, nil
	case "after":
		h, layers := After(s, on, nil, nil)
		return h, layers, nil
	case ristrettoName:
		engine, err := ristrettostore.New[pageKey, []byte](ristrettostore.Config{})
		if err != nil {
			return nil, nil, err
		}
		h, layers := After(s, on, engine, nil)
		drain := layers.Close
		layers.Close = func() {
			if drain != nil {
				drain()
			}
			_ = engine.Close(context.Background())
		}
		return h, layers, nil
	}
	if name == redisName {
		shared, end, err := newShared(s.data)
		if err != nil {
			return nil, nil, err
		}
		h, layers := After(s, on, nil, shared)
		drain := layers.Close
		layers.Close = func() {
			if drain != nil {
				drain()
			}
			end()
		}
		return h, layers, nil
	}
	return nil, nil, fmt.Errorf("variant is %q: must be one of %s", name, strings.Join(variantNames, ", "))
}

// serveVariant serves a variant at addr, which may end in ":0". wrap stands around it; nil:
// nothing does.
func serveVariant(ctx context.Context, name string, s *Store, on Switches, addr string, wrap Wrap) (*Variant, error) {
	h, layers, err := newHandler(ctx, name, s, on)
	if err != nil {
		return nil, err
	}
	if wrap != nil {
		h = wrap(name, h)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		layers.close()
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, reason(err))
	}
	requests := new(atomic.Int64)
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		h.ServeHTTP(w, r)
	})
	v := &Variant{
		Name: name, Store: s, Layers: layers, Addr: listener.Addr().String(), home: homeFormOf(name, on),
		server: &http.Server{Handler: counted, ReadHeaderTimeout: 10 * time.Second}, requests: requests, done: make(chan error, 1),
	}
	go func() { v.done <- v.server.Serve(listener) }()
	return v, nil
}

// A Wrap stands around the handler of a variant: tests make it wrong by this.
type Wrap func(name string, h http.Handler) http.Handler

// A Target is a shop that is being served, wherever that is.
type Target struct {
	Name, Addr string
	Beside     string // address of a second process of the same shop; empty: there is none
	Home       homeForm
	Stale      time.Duration                             // for so long one process may not know what the other has changed
	Digest     func(ctx context.Context) (string, error) // of its database
}

// Target returns v for clients.
func (v *Variant) Target() Target {
	return Target{Name: v.Name, Addr: v.Addr, Home: v.home, Digest: v.Store.Digest}
}

// at is the address for a client's i-th request: by turns, if there are two.
func (t Target) at(i uint64) string {
	if t.Beside != "" && i%2 == 1 {
		return t.Beside
	}
	return t.Addr
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
