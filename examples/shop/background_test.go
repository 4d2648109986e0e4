package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// Each order has its side work once, and closing the shop loses none of it.
func TestBackground_SideWorkOfOrders(t *testing.T) {
	t.Parallel()
	for _, with := range []Switches{{"pool": true}, {}} {
		s := copyOf(t)
		s.SideWork = 10 * time.Millisecond
		v, err := serveVariant(t.Context(), "after", s, with, "127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		const orders = 10
		for range orders {
			resp, err := http.Post("http://"+v.Addr+"/orders", "text/plain", strings.NewReader("1"))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				t.Errorf("status %d", resp.StatusCode)
			}
		}
		if with.Has("pool") {
			if s := v.Layers.Later.Stats(); s.Unwrapped != 0 {
				t.Errorf("%d orders outside of Pool.Handler", s.Unwrapped)
			}
		} else if n := s.SideDone(); n != orders {
			t.Errorf("inline, and %d of %d when all are answered", n, orders)
		}
		v.Close()
		if n := s.SideDone(); n != orders {
			t.Errorf("with %v: %d of %d orders had their side work", with, n, orders)
		}
	}
}

// An order is answered before its side work ends.
func TestBackground_NobodyWaitsForSideWork(t *testing.T) {
	t.Parallel()
	l := &Layers{Later: must(pool.New(pool.Config{}))}
	answered := make(chan struct{})
	worked := 0
	h := l.background(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := behind(l.Later)(r.Context(), func(context.Context) error { <-answered; worked++; return nil }); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/orders", nil))
	close(answered)
	l.close()
	if w.Code != http.StatusCreated || worked != 1 {
		t.Errorf("status %d, worked %d times", w.Code, worked)
	}
}

// A full pool leaves no side work out.
func TestBackground_AFullPool(t *testing.T) {
	t.Parallel()
	p := must(pool.New(pool.Config{Workers: 1, Queue: -1}))
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := new(Store)
	if err := behind(p)(t.Context(), s.sideWork); err != nil || s.SideDone() != 1 {
		t.Errorf("%v, %d done", err, s.SideDone())
	}
}
