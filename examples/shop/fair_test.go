package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// One consumer gets rate x t + burst, the others lose nothing.
func TestFair_ExactAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := fair().Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		ask := func(consumer string) int {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set(consumerField, consumer)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		flood := abusePhase()
		var admitted int64
		start := time.Now()
		gap := time.Duration(float64(time.Second) / flood.Rate)
		for i := 0; time.Since(start) < flood.For; i++ {
			if ask(flood.Consumer) == http.StatusOK {
				admitted++
			}
			if i%4 == 0 { // 750 requests a second of 200 others
				if code := ask(fmt.Sprint("consumer ", i/4%200)); code != http.StatusOK {
					t.Fatalf("another consumer got %d after %v", code, time.Since(start))
				}
			}
			time.Sleep(gap)
		}
		if due := flood.Due(time.Since(start)); admitted > due || admitted < due-1 {
			t.Errorf("the abuser got %d, want %d", admitted, due)
		}
	})
}
