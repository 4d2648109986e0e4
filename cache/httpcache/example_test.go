package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

func get(h http.Handler, fields ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("GET", "http://example.com/products", fields...))
	return w
}

func ExampleNew() {
	responses, err := httpcache.New(httpcache.Config{})
	if err != nil {
		panic(err)
	}
	h := responses.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "made once")
	}))
	fmt.Println(get(h).Body, get(h).Body, responses.Stats().Hits)
	// Output: made once made once 1
}

func ExamplePublic() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpcache.Public(w, time.Minute, "catalog", "product 7")
	})
	header := get(h).Header()
	fmt.Println(header.Get("Cache-Control"))
	fmt.Println(header.Get("Cache-Groups"))
	// Output:
	// public, max-age=60
	// "catalog", "product 7"
}

func ExampleCache_PurgeTags() {
	responses, _ := httpcache.New(httpcache.Config{})
	price := 10
	h := responses.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpcache.Public(w, time.Hour, "prices")
		fmt.Fprint(w, price)
	}))
	fmt.Print(get(h).Body)
	price = 12
	fmt.Print(" ", get(h).Body)
	responses.PurgeTags("prices")
	fmt.Println(" ", get(h).Body)
	// Output: 10 10  12
}

func ExampleExplain() {
	responses, _ := httpcache.New(httpcache.Config{Debug: true})
	h := responses.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
	}))
	fmt.Println(httpcache.Explain(get(h, "Authorization: Bearer x").Header()))
	// Output: not stored: the request has Authorization and the response neither public nor s-maxage nor must-revalidate (RFC 9111 section 3.5)
}

// A body that depends on a request field must name it in Vary: the cache cannot know.
func ExampleConfig_pitfall() {
	responses, _ := httpcache.New(httpcache.Config{})
	h := responses.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpcache.Public(w, time.Minute)
		fmt.Fprint(w, "hello in ", r.Header.Get("Accept-Language")) // and no Vary
	}))
	fmt.Println(get(h, "Accept-Language: de").Body)
	fmt.Println(get(h, "Accept-Language: en").Body)
	// Output:
	// hello in de
	// hello in de
}
