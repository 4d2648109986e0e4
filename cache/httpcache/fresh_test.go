package httpcache_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// Each response is fresh until just before the given time, and not from then on.
func TestF_Freshness(t *testing.T) {
	date := func(d time.Duration) string {
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat) // where synctest begins
	}
	for _, tc := range []struct {
		rule, name string
		cfg        httpcache.Config
		response   []string
		fresh      time.Duration // 0: never
	}{
		{"F1", "s-maxage before max-age", httpcache.Config{}, []string{"Cache-Control: max-age=5, s-maxage=10"}, 10 * time.Second},
		{"F1", "max-age before Expires", httpcache.Config{}, []string{"Cache-Control: max-age=5", "Expires: " + date(time.Hour)}, 5 * time.Second},
		{"F1", "Expires less Date", httpcache.Config{}, []string{"Expires: " + date(8*time.Second)}, 8 * time.Second},
		{"F1", "heuristic", httpcache.Config{Heuristic: 0.1}, []string{"Last-Modified: " + date(-100*time.Second)}, 10 * time.Second},
		{"F1", "heuristic, at most a day", httpcache.Config{Heuristic: 1}, []string{"Last-Modified: " + date(-10000*time.Hour)}, 24 * time.Hour},
		{"F1", "DefaultTTL", defaultTTL, nil, time.Minute},
		{"F1", "targeted", httpcache.Config{}, []string{"Cache-Control: max-age=5", "Cdn-Cache-Control: max-age=7", "Expires: " + date(time.Hour)}, 7 * time.Second},
		{"F2", "first of two", httpcache.Config{}, []string{"Cache-Control: max-age=5, max-age=9"}, 5 * time.Second},
		{"F2", "lines are joined", httpcache.Config{}, []string{"Cache-Control: public", "Cache-Control: MAX-AGE=\"5\""}, 5 * time.Second},
		{"F2", "single quotes", httpcache.Config{}, []string{"Cache-Control: max-age='5'"}, 0},
		{"F2", "a letter", httpcache.Config{}, []string{"Cache-Control: max-age=10a"}, 0},
		{"F2", "a fraction", httpcache.Config{}, []string{"Cache-Control: max-age=1.5"}, 0},
		{"F2", "negative", httpcache.Config{}, []string{"Cache-Control: max-age=-1"}, 0},
		{"F2", "spaces", httpcache.Config{}, []string{"Cache-Control: max-age = 5"}, 0},
		{"F2", "in quoted text", httpcache.Config{}, []string{`Cache-Control: x="max-age=9, y", max-age=005`}, 5 * time.Second},
		{"F2", "above 2^31", httpcache.Config{}, []string{"Cache-Control: max-age=99999999999999999999"}, (1 << 31) * time.Second},
		{"F3", "RFC 850", httpcache.Config{}, []string{"Expires: Saturday, 01-Jan-00 00:00:09 GMT"}, 9 * time.Second},
		{"F3", "asctime", httpcache.Config{}, []string{"Expires: Sat Jan  1 00:00:09 2000"}, 9 * time.Second},
		{"F3", "names in any case", httpcache.Config{}, []string{"Expires: sAT, 01 jAN 2000 00:00:09 gmt"}, 9 * time.Second},
		{"F3", "UTC", httpcache.Config{}, []string{"Expires: Sat, 01 Jan 2000 00:00:09 UTC"}, 0},
		{"F3", "two-digit year", httpcache.Config{}, []string{"Expires: Sat, 01 Jan 30 00:00:09 GMT"}, 0},
		{"F3", "no comma", httpcache.Config{}, []string{"Expires: Sat 01 Jan 2030 00:00:09 GMT"}, 0},
		{"F3", "double space", httpcache.Config{}, []string{"Expires: Sat, 01  Jan 2030 00:00:09 GMT"}, 0},
		{"F3", "zero", httpcache.Config{}, []string{"Expires: 0"}, 0},
		{"F3", "two lines", httpcache.Config{}, []string{"Expires: " + date(time.Hour), "Expires: " + date(time.Hour)}, 0},
		{"F3", "invalid Date is now", httpcache.Config{}, []string{"Date: yesterday", "Expires: " + date(9*time.Second)}, 9 * time.Second},
		{"F4", "Age counts", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: 4"}, 6 * time.Second},
		{"F4", "first member", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: 4, 100"}, 6 * time.Second},
		{"F4", "first line", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: 4", "Age: 100"}, 6 * time.Second},
		{"F4", "the same twice", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: 4, 4"}, 6 * time.Second},
		{"F4", "negative", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: -4"}, 10 * time.Second},
		{"F4", "a fraction", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: 4.0"}, 10 * time.Second},
		{"F4", "a parameter", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: 4;a=4"}, 10 * time.Second},
		{"F4", "not all digits", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Age: 4a"}, 10 * time.Second},
		{"F4", "apparent age", httpcache.Config{}, []string{"Cache-Control: max-age=10", "Date: " + date(-3*time.Second)}, 7 * time.Second},
	} {
		t.Run(tc.rule+"/"+tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, tc.cfg, says("x", tc.response...))
				s.get()
				if tc.fresh > 0 {
					time.Sleep(tc.fresh - 1)
					s.get()
					s.want(1, "just before")
					time.Sleep(time.Nanosecond)
				}
				s.get()
				s.want(2, "from then on")
			})
		})
	}
}

func TestF4_ResponseDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(4 * time.Second)
			says("x", "Cache-Control: max-age=10")(w, r)
		})
		s.get()
		time.Sleep(6*time.Second - 1)
		s.get()
		s.want(1, "before")
		time.Sleep(time.Nanosecond)
		s.get()
		s.want(2, "after 4 s of delay and 6 s here")
	})
}

func TestF5_Age(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=100", "Age: 7", "Expires: Thu, 01 Jan 1970 00:00:00 GMT"))
		first := s.get()
		time.Sleep(3999 * time.Millisecond)
		w := s.get()
		if w.Header().Get("Age") != "10" || w.Header().Get("Date") != "Sat, 01 Jan 2000 00:00:00 GMT" || w.Header().Get("Expires") != first.Header().Get("Expires") {
			t.Error(w.Header())
		}
		if got := w.Header().Get("Cache-Status"); got != "hotpath; hit; ttl=89" {
			t.Error(got)
		}
	})
}

func TestF6_RequestDirectives(t *testing.T) {
	for _, tc := range []struct {
		request, response string
		calls             int64
		status            int
	}{
		{"Cache-Control: max-age=6", "max-age=10", 1, 200},
		{"Cache-Control: max-age=4", "max-age=10", 2, 200},
		{"Cache-Control: min-fresh=5", "max-age=10", 1, 200},
		{"Cache-Control: min-fresh=6", "max-age=10", 2, 200},
		{"Cache-Control: no-cache", "max-age=10", 2, 200},
		{"Pragma: no-cache", "max-age=10", 2, 200},
		{"Cache-Control: max-age=0", "max-age=10, immutable", 1, 200},
		{"Cache-Control: max-stale=3", "max-age=3", 1, 200},
		{"Cache-Control: max-stale", "max-age=3", 1, 200},
		{"Cache-Control: max-stale=1", "max-age=3", 2, 200},
		{"Cache-Control: max-stale=9", "max-age=3, must-revalidate", 2, 200},
		{"Cache-Control: only-if-cached", "max-age=10", 1, 200},
		{"Cache-Control: only-if-cached", "max-age=3", 1, 504},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: "+tc.response))
			s.get()
			time.Sleep(5 * time.Second)
			if w := s.get(tc.request); w.Code != tc.status {
				t.Errorf("%s: %d", tc.request, w.Code)
			}
			s.want(tc.calls, tc.request+" / "+tc.response)
		})
	}
}

// F6: clients that reload do not switch the cache off.
func TestF6_ReloadsOfTheSameSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=100", `Etag: "1"`))
		s.get()
		for range 10 {
			s.get("Cache-Control: no-cache")
		}
		s.want(2, "ten reloads")
		time.Sleep(time.Second)
		s.get("Cache-Control: no-cache")
		s.want(3, "a second later")
	})
}
