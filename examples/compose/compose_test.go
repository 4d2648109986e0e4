package compose

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// The order in the guide is the one that runs.
func TestGuide(t *testing.T) {
	const path = "../../docs/composition.md"
	code, err := os.ReadFile("compose.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(code), "// order:begin\n")
	order, _, _ := strings.Cut(rest, "\t// order:end")
	if order = strings.ReplaceAll(order, "\n\t", "\n"); order == "" || !strings.Contains(string(guide), strings.TrimPrefix(order, "\t")) {
		t.Errorf("%s has another order than\n%s", path, order)
	}
}

// One of everything: a page and its parts, masked, in one envelope and alone, twice; what ran is what
// had to.
func TestStack(t *testing.T) {
	calls := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		calls++
		httpcache.Public(w, time.Minute)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%s,"text":%q}`, r.PathValue("id"), strings.Repeat("long ", 1000))
	})
	reg := prometheus.NewPedanticRegistry()
	h, work, err := Stack(mux, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close(t.Context())
	ask := func(method, target, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept-Encoding", "gzip")
		if body == "" {
			r.Body, r.ContentLength = http.NoBody, 0
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for range 2 {
		if w := ask("GET", "/items/1", ""); w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > 500 {
			t.Errorf("%v, %d bytes", w.Header(), w.Body.Len())
		}
		if w := ask("GET", "/items/1?fields=id", ""); w.Body.String() != `{"id":1}` {
			t.Errorf("%q", w.Body)
		}
		var out struct {
			Responses []struct{ Body json.RawMessage }
		}
		w := ask("POST", "/$batch", `{"requests":[{"id":"a","method":"GET","url":"/items/1?fields=id"},{"id":"b","method":"GET","url":"/items/2?fields=id"}]}`)
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || len(out.Responses) != 2 || string(out.Responses[1].Body) != `{"id":2}` {
			t.Errorf("%v: %s", err, w.Body)
		}
	}
	if calls != 2 {
		t.Errorf("the handler ran %d times for ten answers about two items", calls)
	}
	if _, err := reg.Gather(); err != nil {
		t.Error(err)
	}
}
