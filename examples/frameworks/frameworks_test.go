package frameworks

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/examples/frameworks/chi"
	"github.com/hotpath-go/hotpath/examples/frameworks/connect"
	"github.com/hotpath-go/hotpath/examples/frameworks/echo"
	"github.com/hotpath-go/hotpath/examples/frameworks/gateway"
	"github.com/hotpath-go/hotpath/examples/frameworks/gin"
	"github.com/hotpath-go/hotpath/examples/frameworks/gorilla"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/throttle"
)

func counted(h *metrics.HTTP) map[string]uint64 {
	all := map[string]uint64{}
	for route, s := range h.Stats().Routes {
		for outcome, d := range s.Duration {
			if n := d.Count(); n > 0 {
				all[route+" "+outcome] = n
			}
		}
	}
	return all
}

// M16: a success, a returned 403, a 404 and a panic each count once, by their route, whatever the
// framework makes of them.
func TestM16_Routes(t *testing.T) {
	for name, tc := range map[string]struct {
		shop    http.Handler
		pattern string
	}{
		"chi":     {chi.Shop(), "/items/{id}"},
		"gin":     {gin.Shop(), "/items/:id"},
		"echo":    {echo.Shop(), "/items/:id"},
		"gorilla": {gorilla.Shop(), "/items/{id}"},
		"connect": {connect.Shop(), "/shop.v1.Items/Get"},
		"gateway": {gateway.Shop(), "/items/{id=*}"},
	} {
		t.Run(name, func(t *testing.T) {
			signals, err := metrics.New(metrics.Config{})
			if err != nil {
				t.Fatal(err)
			}
			h := signals.Handler(tc.shop)
			for _, id := range []string{"1", "2", "secret", "broken"} {
				r := httptest.NewRequest("GET", "/items/"+id, nil)
				if name == "connect" {
					r = httptest.NewRequest("POST", tc.pattern, strings.NewReader(`"`+id+`"`))
					r.Header.Set("Content-Type", "application/json")
				}
				func() {
					defer func() {
						if p := recover(); (p != nil) != (id == "broken") {
							t.Errorf("%s: panic %v", id, p)
						}
					}()
					h.ServeHTTP(httptest.NewRecorder(), r)
				}()
			}
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/nowhere", nil))
			want := map[string]uint64{tc.pattern + " 2xx": 2, tc.pattern + " 4xx": 1, tc.pattern + " aborted": 1, "other 4xx": 1}
			if got := counted(signals); !maps.Equal(got, want) {
				t.Errorf("counted %v, want %v", got, want)
			}
		})
	}
}

// gin's c.Stream asserts what few writers have; it works behind every layer, and each event arrives while
// the handler runs.
func TestGin_Stream(t *testing.T) {
	small, err := compress.New(compress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := httpcache.New(httpcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	limit, err := throttle.New(throttle.Config{Rate: throttle.Per(1000, 1e9)})
	if err != nil {
		t.Fatal(err)
	}
	signals, err := metrics.New(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.Handler{
		"metrics": signals.Handler(gin.Shop()), "compress": small.Handler(gin.Shop()), "httpcache": answers.Handler(gin.Shop()), "throttle": limit.Handler(gin.Shop()),
		"all": signals.Handler(limit.Handler(small.Handler(answers.Handler(gin.Shop())))),
	} {
		srv := httptest.NewServer(h)
		res, err := srv.Client().Get(srv.URL + "/events")
		if err != nil {
			t.Fatal(name, err)
		}
		events := 0
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "event:tick") {
				events++
			}
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		srv.Close()
		if events != 3 || res.StatusCode != 200 {
			t.Errorf("%s: %d events, %s", name, events, res.Status)
		}
	}
	if got := counted(signals); got["/events stream"] != 2 {
		t.Errorf("counted %v", got)
	}
}
