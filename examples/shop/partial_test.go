package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// fetch asks h and returns what goes over the wire.
func fetch(t *testing.T, h http.Handler, target, coding string) []byte {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
	if coding != "" {
		r.Header.Set("Accept-Encoding", coding)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Body)
	if w.Code != 200 || err != nil {
		t.Fatalf("%s: %d %s, %v", target, w.Code, body, err)
	}
	return body
}

var projections = []string{phoneFields, "id", "name,description", "reviews/stars", "rating", "*", "reviews(author,body),specifications", "sales,id", "category"}

// With every set of layers a mask gives the projection of the full answer, to the byte.
func TestPartial_ProjectionEquality(t *testing.T) {
	pages := []string{"/products/3", "/products/50", "/categories/1/products?page=0", "/categories/1/products?page=1", "/categories/0/top"}
	tuned := shop(t, "tuned", nil)
	full := Tuned(tuned.Store)
	for _, with := range []string{"partial", "cache,partial", "httpcache,partial", "cache,httpcache,partial,throttle"} {
		on, err := parseSwitches(with, "")
		if err != nil {
			t.Fatal(err)
		}
		after, _ := After(tuned.Store, on, nil, nil)
		for range 2 { // the second time from the cache
			for _, page := range pages {
				whole := fetch(t, full, page, "")
				for _, fields := range projections {
					want, err := partial.MustParse(fields).Append(nil, whole)
					if err != nil {
						t.Fatal(err)
					}
					sep := "?"
					if strings.Contains(page, "?") {
						sep = "&"
					}
					if got := fetch(t, after, page+sep+"fields="+fields, ""); !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(want)) {
						t.Errorf("%s: %s of %s:\n%.300s\nwant\n%.300s", with, fields, page, got, want)
					}
				}
				if got := fetch(t, after, page, ""); !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(whole)) {
					t.Errorf("%s: %s is not whole without a mask", with, page)
				}
			}
		}
	}
}

// The database is asked for no more than the mask selects.
func TestPartial_PushDown(t *testing.T) {
	v := shop(t, "tuned", nil)
	on, err := parseSwitches("partial", "")
	if err != nil {
		t.Fatal(err)
	}
	after, _ := After(v.Store, on, nil, nil)
	for target, want := range map[string]Counts{
		"/products/3":                                             {Queries: 2, Rows: 1 + reviewsPerProduct},
		"/products/3?fields=id,name,price":                        {Queries: 1, Rows: 1},
		"/products/3?fields=description":                          {Queries: 1, Rows: 1},
		"/products/3?fields=" + phoneFields:                       {Queries: 2, Rows: 2},
		"/products/3?fields=reviews/stars":                        {Queries: 2, Rows: 1 + reviewsPerProduct},
		"/categories/1/products?page=0&fields=id,name":            {Queries: 1, Rows: pageSize},
		"/categories/1/products?page=0&fields=" + phoneFields:     {Queries: 2, Rows: 2 * pageSize},
		"/categories/1/products?page=0&fields=name&fields=rating": {Queries: 2, Rows: 2 * pageSize},
	} {
		before := v.Store.Counts()
		fetch(t, after, target, "")
		now := v.Store.Counts()
		if got := (Counts{now.Queries - before.Queries, now.Rows - before.Rows, 0}); got != want {
			t.Errorf("%s: %+v, want %+v", target, got, want)
		}
	}
	if got := fmt.Sprint(partial.Columns[productRow](partial.MustParse("price,name"), "sql", "p.id")); got != "[p.id p.name p.price]" {
		t.Errorf("columns %s", got)
	}
}

// A recorded set of 200 answers, lists and home screens as a phone asks for them, against what the
// tuned shop sends: together with compress.
func TestPartial_WireBytes(t *testing.T) {
	v := shop(t, "tuned", nil)
	full := Tuned(v.Store)
	after, _ := After(v.Store, AllOn(), nil, nil)
	w := NewWorkload(testProducts, 1)
	tuned, ours, answers := 0, 0, 0
	byKind := map[Kind][3]int{}
	for answers < 200 {
		a := w.Next()
		for _, r := range a.Requests {
			if r.Method != "GET" || answers == 200 {
				continue
			}
			answers++
			n := byKind[a.Kind]
			was := len(fetch(t, full, r.Path, "zstd, br, gzip"))
			tuned += was
			path := r.Path
			if a.Kind == Home {
				path += "?fields=" + phoneFields
			} else if a.Kind == List {
				path += "&fields=" + phoneFields
			}
			is := len(fetch(t, after, path, "zstd, br, gzip"))
			ours += is
			byKind[a.Kind] = [3]int{n[0] + 1, n[1] + was, n[2] + is}
		}
	}
	share := float64(ours) / float64(tuned)
	t.Logf("%d answers: %d bytes of %d, %.3f; answers, bytes of tuned and ours by kind: %v", answers, ours, tuned, share, byKind)
	// Pages of products are random words, which shrink to 0.4 at best, and a list has no fields
	// but the ones asked for: there compress does what can be done. A home screen is partial's.
	if home := byKind[Home]; share > 0.20 || float64(home[2]) > 0.05*float64(home[1]) {
		t.Errorf("%.3f of tuned's bytes, want at most 0.20, and 0.05 of home screens", share)
	}
}
