package bulkhead_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

func ExampleNew() {
	limit, err := bulkhead.New(bulkhead.Config{})
	if err != nil {
		log.Fatal(err)
	}
	h := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Body)
	// Output: served
}

// Before a database: as many queries as it has connections.
func ExampleBulkhead_Acquire() {
	queries, _ := bulkhead.New(bulkhead.Config{Limit: 10, Fixed: true})
	release, err := queries.Acquire(context.Background(), bulkhead.Class{})
	if err != nil {
		log.Fatal(err)
	}
	defer release()
	fmt.Println(queries.Stats().InFlight)
	// Output: 1
}
