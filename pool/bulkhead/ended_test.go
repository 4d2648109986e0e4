package bulkhead_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// A request whose context ends while it waits, by a deadline or the end of the server, was not
// handled and is not told 200.
func TestB4_AnEndedContextIsNoEmpty200(t *testing.T) {
	for range 40 { // the deadline and the end of patience come at one moment
		synctest.Test(t, func(t *testing.T) {
			b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
			release := acquire(t, b, bulkhead.Class{})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			w := get(b.Handler(http.NotFoundHandler()), ctx)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			release()
		})
	}
}

// What was flushed is kept no longer: 64 streams would use up what there is for all.
func TestB2_WhatWasSentIsKeptNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 16, Fixed: true, Buffer: 100, BufferTotal: 100})
		end := make(chan struct{})
		for _, how := range []func(w http.ResponseWriter){
			func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
			func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) }, // too large
		} {
			for range 3 {
				go b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write(make([]byte, 100))
					how(w)
					<-end
				})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				synctest.Wait()
			}
		}
		s := b.Stats()
		if s.BufferBytes != 0 || s.Unbuffered["budget"] != 0 || s.Unbuffered["flush"] != 3 || s.Unbuffered["large"] != 3 {
			t.Errorf("%d bytes are kept, %v", s.BufferBytes, s.Unbuffered)
		}
		close(end)
		synctest.Wait()
	})
}

// What had no room takes none.
func TestB2_WhatHadNoRoomIsNotCounted(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{Buffer: 100, BufferTotal: 10})
	h := b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 11))
		if n := b.Stats().BufferBytes; n != 0 {
			t.Errorf("%d bytes", n)
		}
	}))
	get(h, t.Context())
	if s := b.Stats(); s.BufferBytes != 0 || s.Unbuffered["budget"] != 1 {
		t.Errorf("%d bytes, %v", s.BufferBytes, s.Unbuffered)
	}
}

// An event stream gives its slot back by its first Flush, whether it is kept or not.
func TestB3_AnEventStreamThatIsNotKept(t *testing.T) {
	for name, cfg := range map[string]bulkhead.Config{
		"no buffer": {Buffer: -1}, "no total": {BufferTotal: -1}, "no room": {BufferTotal: 1}, "too large": {Buffer: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg.Limit, cfg.Fixed = 1, true
				b := newBulkhead(t, cfg)
				end := make(chan struct{})
				w := httptest.NewRecorder()
				go b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, "data: 1\n\n")
					if n := b.Stats().InFlight; n != 1 {
						t.Errorf("%d in flight before the Flush", n)
					}
					w.(http.Flusher).Flush()
					<-end
				})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				synctest.Wait()
				if s := b.Stats(); s.InFlight != 0 || s.LongLived != 1 {
					t.Errorf("%d in flight, %d long-lived", s.InFlight, s.LongLived)
				}
				close(end)
				synctest.Wait()
				if s := b.Stats(); s.LongLived != 0 || w.Body.String() != "data: 1\n\n" || !w.Flushed {
					t.Errorf("%d long-lived, %q, flushed %t", s.LongLived, w.Body, w.Flushed)
				}
			})
		})
	}
}

// Trailers need a chunked body: with a Content-Length net/http drops them.
func TestB2_TrailersArrive(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{})
	s := httptest.NewServer(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "1")
	})))
	defer s.Close()
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "body" || err != nil || res.Trailer.Get("X-Sum") != "1" {
		t.Errorf("%q, %v, trailer %v", body, err, res.Trailer)
	}
}

// B2: the body of a cache is kept by reference, and never written to.
func TestB2_WhatIsOfferedIsNotWrittenTo(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{})
	stored := append(make([]byte, 0, 100), "stored"...)
	w := get(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !rw.Offer(w, rw.NewVariants(stored, nil)) {
			t.Error("the offer is not taken")
		}
		_, _ = w.Write(stored)
		_, _ = io.WriteString(w, " and more")
	})), t.Context())
	if spare := stored[:cap(stored)][len(stored)]; w.Body.String() != "stored and more" || spare != 0 {
		t.Errorf("%q, and behind the stored body stands %q", w.Body, spare)
	}
}
