package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// serve -admin shows on a second address what the layers do; the shop's own has nothing of it.
func TestServe_Admin(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	printed, done := make(chan string, 10), make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "-products", "96", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, nil, writerFunc(func(p []byte) { printed <- string(p) }), os.Stderr, nil)
	}()
	defer func() {
		stop()
		if code := <-done; code != exitOK {
			t.Errorf("exit %d", code)
		}
	}()
	address := regexp.MustCompile(`http://[0-9.:]+`)
	admin, shop := address.FindString(<-printed), address.FindString(<-printed)
	get := func(url string) (int, string) {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	for range 3 {
		get(shop + "/products/1")
	}
	_, figures := get(admin + "/metrics")
	for _, series := range []string{
		`hotpath_httpcache_requests_total{name="answers",outcome="hit"} 2`, `hotpath_cache_loads_total{name="pages",result="ok"} 1`,
		"hotpath_compress_responses_total", "hotpath_throttle_requests_total", "go_sql_open_connections", "go_sched_latencies_seconds",
		`hotpath_http_request_duration_seconds_count{code="2xx",name="shop",route="GET /products/{id}"} 3`,
	} {
		if !strings.Contains(figures, series) {
			t.Errorf("no %s", series)
		}
	}
	if code, page := get(admin + "/"); code != 200 || !strings.Contains(page, "EventSource") {
		t.Errorf("the live page: %d", code)
	}
	if code, _ := get(shop + "/metrics"); code != 404 {
		t.Errorf("the figures are public: %d", code)
	}
}
