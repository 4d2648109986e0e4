package httpcache_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// Whatever stands in a header, both answers have the handler's body, or a part that was asked
// for, and nothing panics.
func FuzzHeaders(f *testing.F) {
	f.Add("max-age=60", "", "Accept", "0", "Sat, 01 Jan 2000 00:00:00 GMT", "bytes=0-1", `"1"`, `"a", "b"`)
	f.Add("max-age=60", `max-age=60;a=?1, b=(1 "x")`, "*", "4, 5", "0", "bytes=-1,0-", `W/"1"`, `"a\"`)
	f.Add(`private="x, y", no-cache="`, "no-store=?0", "Accept-Encoding,,x", "-1", "Sat Jan  1 00:00:00 2000", "bytes=", "*", "(")
	f.Fuzz(func(t *testing.T, control, targeted, vary, age, date, ranged, match, groups string) {
		c, err := httpcache.New(httpcache.Config{Debug: true, Heuristic: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out := w.Header()
			out.Set("Cache-Control", control)
			out.Set("Cdn-Cache-Control", targeted)
			out.Set("Vary", vary)
			out.Set("Age", age)
			out.Set("Date", date)
			out.Set("Expires", date)
			out.Set("Last-Modified", date)
			out.Set("Etag", `"1"`)
			out.Set("Cache-Groups", groups)
			_, _ = w.Write([]byte("body"))
		}))
		for range 2 {
			for _, fields := range []http.Header{{}, {"Range": {ranged}}, {"If-None-Match": {match}}, {"Cache-Control": {control}, "If-Modified-Since": {date}}, {"Accept-Encoding": {vary}}} {
				w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil)
				r.Header = fields
				h.ServeHTTP(w, r)
				switch body := w.Body.String(); {
				case w.Code == 200 && body != "body", w.Code == 304 && body != "":
					t.Errorf("%v: %d %q", fields, w.Code, body)
				case w.Code != 200 && w.Code != 304 && w.Code != 206 && w.Code != 416 && w.Code != 504:
					t.Errorf("%v: %d", fields, w.Code)
				}
				_ = httpcache.Explain(w.Header())
			}
		}
	})
}
