package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hotpath-go/hotpath/examples/internal/browsertest"
)

// What the page asks for is one request and one query. The bubble's clock stands still while any part
// has something to do.
func TestBatch_OneQuery(t *testing.T) {
	var requests []map[string]string
	for i, m := range regexp.MustCompile(`data-get="([^"]+)"`).FindAllSubmatch(page, -1) {
		requests = append(requests, map[string]string{"id": fmt.Sprint(i), "method": "GET", "url": string(m[1])})
	}
	body, err := json.Marshal(map[string]any{"requests": requests})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var asked [][]int
		h, err := newHandler(func(ctx context.Context, ids []int) (map[int]stock, error) {
			asked = append(asked, ids)
			return selectStock(ctx, ids)
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/batch", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var got struct {
			Responses []struct {
				Status int
				Body   struct{ Title, Detail string }
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Responses) != 12 {
			t.Fatalf("%d, %v: %s", w.Code, err, w.Body)
		}
		for i, want := range map[int]string{0: "200 Apples 7 in stock", 8: "200 Tea 63 in stock", 9: "404 Not Found There is no product 10.", 11: "503 Service Unavailable The bank does not answer."} {
			if r := got.Responses[i]; fmt.Sprint(r.Status, " ", r.Body.Title, " ", r.Body.Detail) != want {
				t.Errorf("part %d is %v, want %s", i, r, want)
			}
		}
		if len(asked) != 1 || len(asked[0]) != 10 {
			t.Errorf("queries for %v, want one for ten", asked)
		}
	})
}

// probe frames the page in two widths, lets it fill itself, and tells what it saw.
const probe = `<!doctype html><link rel="icon" href="data:,"><body><script>
const frames = []
async function look(width) {
  const frame = document.createElement('iframe')
  frame.width = width; frame.height = 900; frame.src = '/'
  await new Promise(ok => { frame.onload = ok; document.body.append(frame) })
  const d = frame.contentDocument
  while (!d.querySelector('#state').textContent) await new Promise(ok => setTimeout(ok, 20))
  frames.push({
    width: d.documentElement.scrollWidth,
    state: d.querySelector('#state').textContent,
    busy: d.querySelectorAll('[aria-busy=true]').length,
    widgets: [...d.querySelectorAll('article')].map(a => [...a.children].map(e => e.textContent).join('|')),
    fetched: frame.contentWindow.performance.getEntriesByType('resource').map(e => new URL(e.name).pathname),
  })
  frame.remove()
}
onload = async () => {
  try { await look(360); await look(1100) } catch (e) { console.error(e) }
  fetch('/said', { method: 'POST', body: JSON.stringify(frames) })
}
</script>`

// In a browser: every widget is filled, by one request each time, with no error and nothing too wide.
func TestPage(t *testing.T) {
	h, err := newHandler(selectStock)
	if err != nil {
		t.Fatal(err)
	}
	var batches, others atomic.Int64
	said := make(chan []byte, 1)
	mux := http.NewServeMux()
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/batch":
			batches.Add(1)
		case "/":
		default:
			others.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	mux.HandleFunc("GET /probe", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, probe)
	})
	mux.HandleFunc("POST /said", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		said <- b
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer srv.CloseClientConnections()

	var frames []struct {
		Width, Busy      int
		State            string
		Widgets, Fetched []string
	}
	if err := json.Unmarshal(browsertest.Open(t, srv.URL+"/probe", said), &frames); err != nil {
		t.Fatal(err)
	}
	if len(frames) != 2 {
		t.Fatalf("%d of 2 frames", len(frames))
	}
	for i, width := range []int{360, 1100} {
		f := frames[i]
		if f.Width > width || f.Width == 0 {
			t.Errorf("at %d px the page is %d wide", width, f.Width)
		}
		want := []string{
			"Apples|7 in stock|200", "Bread|14 in stock|200", "Butter|21 in stock|200", "Cheese|28 in stock|200", "Coffee|35 in stock|200",
			"Flour|42 in stock|200", "Honey|49 in stock|200", "Milk|56 in stock|200", "Tea|63 in stock|200", "Not Found|There is no product 10.|404",
			fmt.Sprintf("Visits|%d since the start|200", i+1), "Service Unavailable|The bank does not answer.|503",
		}
		if !slices.Equal(f.Widgets, want) {
			t.Errorf("at %d px there is\n%q, want\n%q", width, f.Widgets, want)
		}
		if !slices.Equal(f.Fetched, []string{"/batch"}) || f.Busy != 0 || !strings.HasPrefix(f.State, "12 answers in ") {
			t.Errorf("at %d px: fetched %q, %d are busy, %q", width, f.Fetched, f.Busy, f.State)
		}
	}
	if batches.Load() != 2 || others.Load() != 0 {
		t.Errorf("%d batches and %d other requests for two pages", batches.Load(), others.Load())
	}
}
