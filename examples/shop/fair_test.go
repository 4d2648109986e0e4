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
		limit := fair()
		if err := limit.Reconfigure(fairly(abuseLimit)); err != nil {
			t.Fatal(err)
		}
		h := limit.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		ask := func(consumer string) int {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set(consumerField, consumer)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		var admitted int64
		start := time.Now()
		for i := 0; time.Since(start) < 4*time.Second; i++ {
			if ask(abuser) == http.StatusOK {
				admitted++
			}
			if i%4 == 0 { // 750 requests a second of 200 others
				if code := ask(fmt.Sprint("consumer ", i/4%200)); code != http.StatusOK {
					t.Fatalf("another consumer got %d after %v", code, time.Since(start))
				}
			}
			time.Sleep(time.Second / floodRate)
		}
		if due := dueToAbuser(time.Since(start)); admitted > due || admitted < due-1 {
			t.Errorf("the abuser got %d, want %d", admitted, due)
		}
	})
}

// Who names nobody, as curl does, is served by address.
func TestFair_WithoutAName(t *testing.T) {
	w := httptest.NewRecorder()
	fair().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The phase of abuse on a shop that throttles; there is none on one that does not.
func TestAbuse(t *testing.T) {
	for _, on := range []Switches{{"cache": true, "throttle": true}, {"cache": true}} {
		d := testDrive(t, Options{on: on})
		err := d.abuse(t.Context(), d.testSides(t, "after")[0])
		switch r := d.report.Abuse; {
		case !on.Has("throttle"):
			if err != nil || r != nil {
				t.Errorf("without throttle: %+v, %v", r, err)
			}
		case err != nil:
			t.Fatal(err)
		case r.Lost > 0 || r.LetIn > r.Due || r.LetIn < 2*abuseLimit || r.Sent < 500:
			t.Errorf("%+v", r)
		}
	}
}
