package live

import (
	"context"
	"encoding/json"
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
	Series []series
	Times  []int64
	Values [][]*float64
	T      int64
	V      map[string]*float64
}

func (v *screen) Write(p []byte) (int, error) { return v.part.Write(p) }
func (v *screen) FlushError() error {
	name, data, _ := strings.Cut(strings.TrimPrefix(v.part.String(), "event: "), "\ndata: ")
	v.part.Reset()
	e := event{name: name}
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
