package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A screen reads a stream into events, until its context ends.
type screen struct {
	http.ResponseWriter
	events chan event
	part   strings.Builder
}

type event struct {
	name   string
	data   string
	Series []series
	Gone   []int
	Error  string
	Times  []int64
	Values [][]*float64
	T      int64
	V      map[string]*float64
}

func (v *screen) Write(p []byte) (int, error) { return v.part.Write(p) }
func (v *screen) FlushError() error {
	name, data, _ := strings.Cut(strings.TrimPrefix(v.part.String(), "event: "), "\ndata: ")
	v.part.Reset()
	e := event{name: name, data: data}
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		panic(err)
	}
	v.events <- e
	return nil
}

func watch(ctx context.Context, h http.Handler) (events chan event, ended chan struct{}) {
	v := &screen{ResponseWriter: httptest.NewRecorder(), events: make(chan event, 1000)}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		h.ServeHTTP(v, httptest.NewRequest("GET", "/?events", nil).WithContext(ctx))
	}()
	return v.events, ended
}

type gatherer func() ([]*dto.MetricFamily, error)

func (g gatherer) Gather() ([]*dto.MetricFamily, error) { return g() }

// One gather a second, however many look; a viewer who comes later gets the history at once; two
// minutes after the last has left nothing runs.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		n := prometheus.NewCounter(prometheus.CounterOpts{Name: "n_total", Help: "N."})
		late := prometheus.NewGauge(prometheus.GaugeOpts{Name: "late", Help: "Comes later."})
		reg.MustRegister(n)
		var gathers atomic.Int64
		h := Handler(gatherer(func() ([]*dto.MetricFamily, error) { gathers.Add(1); return reg.Gather() }))
		ctx, leave := context.WithCancel(t.Context())
		first, ended := watch(ctx, h)
		synctest.Wait()
		if e := <-first; e.name != "start" || len(e.Series) != 1 || e.Series[0].Name != "n_total" || e.Series[0].Help != "N." || *e.Values[0][0] != 0 {
			t.Fatalf("%+v", e)
		}
		n.Inc()
		time.Sleep(time.Second)
		synctest.Wait()
		if e := <-first; e.name != "tick" || *e.V["0"] != 1 || len(e.Series) != 0 {
			t.Errorf("%+v", e)
		}
		reg.MustRegister(late)
		time.Sleep(time.Second)
		synctest.Wait()
		if e := <-first; len(e.V) != 1 || len(e.Series) != 1 || e.Series[0].Name != "late" || *e.V["1"] != 0 {
			t.Errorf("what did not change is not sent, what is new is: %+v", e)
		}
		reg.Unregister(late)
		time.Sleep(time.Second)
		synctest.Wait()
		if e := <-first; len(e.V) != 1 || e.V["1"] != nil {
			t.Errorf("what is gone is null: %+v", e)
		}
		second, _ := watch(ctx, h)
		synctest.Wait()
		if e := <-second; len(e.Times) != 4 || len(e.Values) != 2 || *e.Values[0][1] != 1 || e.Values[1][0] != nil || *e.Values[1][2] != 0 || e.Values[1][3] != nil {
			t.Errorf("history: %+v", e)
		}
		time.Sleep(200 * time.Second)
		synctest.Wait()
		third, _ := watch(ctx, h)
		synctest.Wait()
		if e := <-third; len(e.Times) != kept || len(e.Values) != 1 || len(e.Values[0]) != kept {
			t.Errorf("%d samples are kept, want %d; %d series, want the one that is there", len(e.Times), kept, len(e.Values))
		}
		if n := gathers.Load(); n != 204 {
			t.Errorf("%d gathers in 203 s for three viewers", n)
		}
		leave()
		<-ended
		time.Sleep(lingering + 2*time.Second)
		before := gathers.Load()
		time.Sleep(time.Minute)
		if gathers.Load() != before {
			t.Error("it gathers for nobody")
		}
		again, leaveAgain := context.WithCancel(t.Context())
		fourth, _ := watch(again, h)
		synctest.Wait()
		if e := <-fourth; len(e.Times) != 1 {
			t.Errorf("a history with a hole: %d samples", len(e.Times))
		}
		leaveAgain()
		time.Sleep(lingering + 2*time.Second) // the bubble ends only when its goroutines have
	})
}

func TestStream_TooManyViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Handler(prometheus.NewRegistry())
		ctx, leave := context.WithCancel(t.Context())
		for range maxViewers {
			watch(ctx, h)
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/?events", nil))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Error(w.Code, w.Header())
		}
		leave()
		time.Sleep(lingering + 2*time.Second)
	})
}

// A viewer that does not read is let go, and holds up nobody.
func TestStream_DeafViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := prometheus.NewCounter(prometheus.CounterOpts{Name: "n_total"})
		reg := prometheus.NewRegistry()
		reg.MustRegister(n)
		h := Handler(reg)
		ctx, leave := context.WithCancel(t.Context())
		deaf := &screen{ResponseWriter: httptest.NewRecorder(), events: make(chan event)}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.ServeHTTP(deaf, httptest.NewRequest("GET", "/?events", nil).WithContext(ctx))
		}()
		good, _ := watch(ctx, h)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(good) != 31 {
			t.Errorf("the other has %d events, want 31", len(good))
		}
		for range unread + 2 { // what was on its way, and then the end
			select {
			case <-deaf.events:
			case <-ended:
			}
		}
		<-ended
		leave()
		time.Sleep(lingering + 2*time.Second)
	})
}

// nothing is what a gatherer without collectors says.
func nothing() ([]*dto.MetricFamily, error) { return nil, nil }

// What is empty is no null: the page would throw on each event. So with a gatherer that fails.
func TestStream_NothingIsNull(t *testing.T) {
	for name, g := range map[string]prometheus.Gatherer{
		"empty": prometheus.NewRegistry(),
		"fails": gatherer(func() ([]*dto.MetricFamily, error) { return nil, errors.New("no") }),
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			events, _ := watch(ctx, Handler(g))
			time.Sleep(2500 * time.Millisecond)
			synctest.Wait()
			for range 3 {
				if e := <-events; strings.Contains(e.data, "null") || e.name == "tick" && (e.Error == "no") != (name == "fails") {
					t.Errorf("%s: %s %s", name, e.name, e.data)
				}
			}
			leave()
			time.Sleep(lingering + 2*time.Second)
		})
	}
}

// A collector that does not answer holds nobody who comes or goes.
func TestStream_SlowCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		release := make(chan struct{})
		h := Handler(gatherer(func() ([]*dto.MetricFamily, error) {
			if slow.Load() {
				<-release
			}
			return nil, nil
		}))
		ctx, leave := context.WithCancel(t.Context())
		events, ended := watch(ctx, h)
		synctest.Wait()
		<-events
		slow.Store(true)
		time.Sleep(2 * time.Second) // it is asked, and does not answer
		leave()
		<-ended // else every goroutine is blocked
		again, leaveAgain := context.WithCancel(t.Context())
		events, ended = watch(again, h)
		if e := <-events; e.name != "start" || len(e.Times) != 1 {
			t.Errorf("who comes meanwhile gets %+v", e)
		}
		slow.Store(false)
		close(release)
		time.Sleep(time.Second)
		synctest.Wait()
		if e := <-events; e.name != "tick" {
			t.Errorf("%+v", e)
		}
		leaveAgain()
		<-ended
		time.Sleep(lingering + 2*time.Second)
	})
}

// The first sample may take its time: who waits for it can leave, and others come.
func TestStream_SlowFirstSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := Handler(gatherer(func() ([]*dto.MetricFamily, error) { <-release; return nil, nil }))
		ctx, leave := context.WithCancel(t.Context())
		_, ended := watch(ctx, h)
		synctest.Wait()
		stays, leaveLater := context.WithCancel(t.Context())
		events, endedLater := watch(stays, h)
		synctest.Wait()
		leave()
		<-ended
		close(release)
		if e := <-events; e.name != "start" || len(e.Times) != 1 {
			t.Errorf("%+v", e)
		}
		leaveLater()
		<-endedLater
		time.Sleep(lingering + 2*time.Second)
	})
}

// A collector that panics is told of, and ends neither the process nor the page.
func TestStream_CollectorThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		ctx, leave := context.WithCancel(t.Context())
		events, ended := watch(ctx, Handler(gatherer(func() ([]*dto.MetricFamily, error) {
			if calls++; calls <= 2 {
				panic("boom")
			}
			return nil, nil
		})))
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if len(events) != 4 {
			t.Fatalf("%d events in 3.5 s, want 4", len(events))
		}
		for i, want := range []string{"", "a collector panicked: boom", "", ""} { // what began has no error
			if e := <-events; e.Error != want {
				t.Errorf("event %d: %+v, want %q", i, e, want)
			}
		}
		leave()
		<-ended
		time.Sleep(lingering + 2*time.Second)
	})
}

// HEAD has no stream: it ends at once and takes no place.
func TestStream_HEAD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gathers := 0
		h := Handler(gatherer(func() ([]*dto.MetricFamily, error) { gathers++; return nil, nil }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range maxViewers + 1 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("HEAD", "/?events", nil).WithContext(ctx))
			if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" || w.Body.Len() > 0 {
				t.Error(w.Code, w.Header(), w.Body)
			}
		}
		time.Sleep(lingering + 2*time.Second)
		synctest.Wait()
		if gathers > 0 {
			t.Errorf("%d gathers for nobody", gathers)
		}
	})
}

// Other sites could read nothing and take the places.
func TestStream_FromOtherSites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Handler(gatherer(nothing))
		for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200, "": 200} {
			ctx, leave := context.WithCancel(t.Context())
			r := httptest.NewRequest("GET", "/?events", nil).WithContext(ctx)
			r.Header.Set("Sec-Fetch-Site", site)
			w := httptest.NewRecorder()
			leave()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%q: %d, want %d", site, w.Code, want)
			}
		}
		time.Sleep(lingering + 2*time.Second)
	})
}

// pipes is a listener without a network, for virtual time: nothing is buffered between the two ends.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipes) Close() error   { close(l); return nil }
func (l pipes) Addr() net.Addr { return &net.TCPAddr{} }
func (l pipes) dial(request string) net.Conn {
	mine, theirs := net.Pipe()
	l <- theirs
	fmt.Fprintf(mine, "%s HTTP/1.1\r\nHost: x\r\n\r\n", request)
	return mine
}

// Viewers that never read hold their places until they are let go, ten seconds after the first event that
// they did not take, and never more than there are places.
func TestStream_ViewersThatNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		h, l := Handler(gatherer(nothing)), make(pipes)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := running.Add(1); n > most.Load() { // one comes after the other
				most.Store(n)
			}
			defer running.Add(-1)
			h.ServeHTTP(w, r)
		})}
		go func() { _ = srv.Serve(l) }()
		var deaf []net.Conn
		for range maxViewers {
			deaf = append(deaf, l.dial("GET /?events"))
			synctest.Wait()
		}
		time.Sleep(patience - time.Second) // well beyond what the sampler keeps for each
		synctest.Wait()
		if n := running.Load(); n != maxViewers {
			t.Errorf("%d handlers run after 9 s, want %d", n, maxViewers)
		}
		refused := l.dial("GET /?events")
		if res, err := http.ReadResponse(bufio.NewReader(refused), nil); err != nil || res.StatusCode != 503 {
			t.Errorf("who comes meanwhile gets %v, %v", res, err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := running.Load(); n != 0 {
			t.Errorf("%d handlers still hang after 11 s", n)
		}
		good := l.dial("GET /?events")
		res, err := http.ReadResponse(bufio.NewReader(good), nil)
		if err != nil || res.StatusCode != 200 || !res.Close {
			t.Fatalf("who comes after gets %v, %v, want a stream after which the connection is closed", res, err)
		}
		if n := most.Load(); n != maxViewers+1 { // the refused one, for a moment
			t.Errorf("at most %d at once", n)
		}
		events := bufio.NewReader(res.Body)
		for range 60 { // a deadline is for one event, not for the whole
			if line, err := events.ReadString('\n'); err != nil || !strings.HasPrefix(line, "event: ") {
				t.Fatal(line, err)
			}
			_, _ = events.ReadString('\n')
			_, _ = events.ReadString('\n')
		}
		_ = good.Close()
		_ = refused.Close()
		for _, c := range deaf {
			_, _ = io.Copy(io.Discard, c) // the server has closed it
			_ = c.Close()
		}
		time.Sleep(lingering + 2*time.Second)
		_ = srv.Close()
	})
}
