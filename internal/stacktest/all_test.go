package stacktest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// everyLayer are the letters of a full stack: batch, compress, httpcache, metrics, the pool (o), partial,
// throttle, and the bulkhead (u).
const everyLayer = "bchmoptu"

func layerOf(t *testing.T, letter byte) middleware {
	t.Helper()
	switch letter {
	case 'b':
		return middleware{name: "batch", wrap: endpoint(t, batch.Config{}).Handler}
	case 'c':
		return ours(t)
	case 'h':
		m, _ := caching(t)
		return m
	case 'm':
		h, err := metrics.New(metrics.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return middleware{name: "metrics", wrap: h.Handler}
	case 'o':
		return working(t)
	case 'p':
		m, _ := masking(t)
		return m
	case 't':
		return limiter(t)
	case 'u':
		m, _ := bounding(t, bulkhead.Config{Limit: 64})
		return m
	}
	return foreign[0] // a logger
}

// stackOf is the stack that letters name, the outermost first.
func stackOf(t *testing.T, letters string) (stack []middleware) {
	t.Helper()
	for i := range len(letters) {
		stack = append(stack, layerOf(t, letters[i]))
	}
	return stack
}

// shop is a service with a bit of everything. release lets /live go on.
func shop(release <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "max-age=600")
		h.Set("Etag", `"`+r.PathValue("id")+`"`)
		doc := fmt.Sprintf(`{"id":%s,"name":"item %[1]s","text":%q}`, r.PathValue("id"), strings.Repeat("long ", 400))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(doc))
	})
	mux.HandleFunc("PUT /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Match") != `"`+r.PathValue("id")+`"` {
			w.WriteHeader(http.StatusPreconditionFailed)
		}
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strings.Repeat(r.Header.Get("Authorization")+" ", 200))
	})
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "data: last\n\n")
	})
	mux.HandleFunc("GET /hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(text(3000))
	})
	mux.Handle("/", service())
	return mux
}

// seedOf is 1, so that a run can be repeated; HOTPATH_SEED and HOTPATH_STACKS draw others, and more of them: 3,000
// are all subsets.
func seedOf(t *testing.T) (seed uint64, stacks int) {
	seed, stacks = 1, 8
	if n, err := strconv.ParseUint(os.Getenv("HOTPATH_SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("HOTPATH_STACKS")); err == nil {
		stacks = n
	}
	t.Logf("HOTPATH_SEED=%d HOTPATH_STACKS=%d", seed, stacks)
	return seed, stacks
}

// All layers in drawn orders, foreign ones in some of the gaps, over HTTP/1.1 and HTTP/2: what holds for any
// stack.
func TestEveryLayer(t *testing.T) {
	bare := httptest.NewServer(shop(nil))
	defer bare.Close()
	seed, n := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range n {
		letters := []byte(everyLayer)
		rng.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
		if rng.IntN(2) == 0 {
			letters = slices.Insert(letters, rng.IntN(len(letters)+1), 'l')
		}
		proto := []string{"HTTP/1.1", "HTTP/2"}[i%2]
		t.Run(string(letters)+"/"+proto, func(t *testing.T) {
			answers(t, string(letters), proto, bare.URL)
			connections(t, string(letters), proto)
		})
	}
}

// One to four layers in every order there is; in a usual run only some of them.
func TestEverySubset(t *testing.T) {
	bare := httptest.NewServer(shop(nil))
	defer bare.Close()
	all := subsets("", 4)
	seed, n := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, letters := range all[:min(n, len(all))] {
		proto := []string{"HTTP/1.1", "HTTP/2"}[i%2]
		t.Run(letters+"/"+proto, func(t *testing.T) {
			answers(t, letters, proto, bare.URL)
			connections(t, letters, proto)
		})
	}
}

// subsets are the orders of up to n more layers around those of inner, each layer once.
func subsets(inner string, n int) (all []string) {
	for i := 0; n > 0 && i < len(everyLayer); i++ {
		if letter := everyLayer[i : i+1]; !strings.Contains(inner, letter) {
			all = append(append(all, letter+inner), subsets(letter+inner, n-1)...)
		}
	}
	return all
}

// answers compares what a stack answers with what the bare handler does.
func answers(t *testing.T, letters, proto, bare string) {
	release := make(chan struct{})
	h := shop(release)
	for i := len(letters) - 1; i >= 0; i-- {
		h = layerOf(t, letters[i]).wrap(h)
	}
	var mu sync.Mutex
	patterns := map[string]string{} // what is visible outside
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path // layers may change what they pass on, never this
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			patterns[path] = r.Pattern
		}()
		h.ServeHTTP(w, r)
	}))
	srv.EnableHTTP2 = proto == "HTTP/2"
	srv.StartTLS()
	defer srv.Close()
	client := srv.Client()
	client.Transport.(*http.Transport).DisableCompression = true
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}

	named := map[string]string{} // a strong tag, and the bytes that it names
	for _, coding := range []string{"gzip", "identity"} {
		accept := "Accept-Encoding: " + coding
		for _, which := range []string{"cold", "warm"} {
			for _, path := range []string{"/items/1", "/items/2", "/doc", "/late", "/trailers", "/events", "/hints", "/none"} {
				want := ask(t, plain, "GET", bare+path)
				got := ask(t, client, "GET", srv.URL+path, accept)
				if got.err != nil || got.status != want.status || got.body != want.body || got.sum != want.sum || got.header.Get("X-Own") != want.header.Get("X-Own") {
					t.Errorf("%s %s by %s: %d, %d bytes, trailer %q, %v; bare %d, %d bytes", which, path, coding, got.status, len(got.body), got.sum, got.err, want.status, len(want.body))
				}
				if coding == "identity" && got.header.Get("Content-Encoding") != "" {
					t.Errorf("%s: a coding that was refused", path)
				}
				if n := len(got.header["Vary"]); n > 1 {
					t.Errorf("%s: %d lines of Vary", path, n)
				}
				if got.header.Get("Link") != "" {
					t.Errorf("%s: a field of a 103 leaked", path)
				}
			}
			masked := ask(t, client, "GET", srv.URL+"/items/1?fields=id", accept)
			if strings.Contains(letters, "p") && (masked.status != 200 || masked.body != `{"id":1}`) {
				t.Errorf("%s mask by %s: %d %.60q", which, coding, masked.status, masked.body)
			}
			for _, target := range []string{"/items/1", "/items/1?fields=id", "/items/1?fields=name", "/doc"} {
				raw, tag := bytesOf(t, client, srv.URL+target, accept)
				if tag == "" || strings.HasPrefix(tag, "W/") {
					continue
				}
				key := tag + " of " + strings.SplitN(target, "?", 2)[0]
				if have, ok := named[key]; ok && have != raw {
					t.Errorf("%s names two byte sequences", key)
				}
				named[key] = raw
				if a := ask(t, client, "GET", srv.URL+target, accept, "If-None-Match: "+tag); a.status != 304 || a.header.Get("Etag") != tag {
					t.Errorf("%s by %s: revalidation of %s: %d %s", target, coding, tag, a.status, a.header.Get("Etag"))
				}
				// Of a few bytes only encoding them tells that the coded form is no smaller, and a HEAD has none.
				if a := ask(t, client, "HEAD", srv.URL+target, accept); a.status != 200 || a.body != "" || len(raw) > 100 && a.header.Get("Etag") != tag {
					t.Errorf("%s by %s: HEAD %d, tag %s, want %s", target, coding, a.status, a.header.Get("Etag"), tag)
				}
			}
		}
		tag := ask(t, client, "GET", srv.URL+"/items/1", accept).header.Get("Etag")
		if a := ask(t, client, "PUT", srv.URL+"/items/1", accept, "If-Match: "+tag); a.status != 200 {
			t.Errorf("update of %s by %s: %d", tag, coding, a.status)
		}
		if a := ask(t, client, "GET", srv.URL+"/abort", accept); a.err == nil {
			t.Errorf("an abort looks whole: %d, %d bytes", a.status, len(a.body))
		}
		for _, user := range []string{"alice", "bob", "alice"} {
			if a := ask(t, client, "GET", srv.URL+"/me", accept, "Authorization: "+user); a.body != strings.Repeat(user+" ", 200) {
				t.Errorf("%s got %.40q", user, a.body)
			}
		}
		live(t, client, srv.URL+"/live", accept, release)
		if !strings.Contains(letters, "b") {
			continue
		}
		// Outside of batch partial cuts the envelope, and no part.
		parts(t, client, srv.URL, accept, strings.IndexByte(letters, 'b') < strings.IndexByte(letters, 'p'))
	}
	mu.Lock()
	defer mu.Unlock()
	for path, want := range map[string]string{"/items/1": "GET /items/{id}", "/items/2": "GET /items/{id}", "/hints": "GET /hints"} {
		if got := patterns[path]; got != want && !(path == "/items/1" && got == "PUT /items/{id}") {
			t.Errorf("outside, the route of %s is %q, want %q", path, got, want)
		}
	}
}

func bytesOf(t *testing.T, client *http.Client, url string, accept string) (raw, tag string) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	name, value, _ := strings.Cut(accept, ": ")
	r.Header.Set(name, value)
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), res.Header.Get("Etag")
}

// live reads the first event while the handler waits.
func live(t *testing.T, client *http.Client, url, accept string, release chan<- struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	name, value, _ := strings.Cut(accept, ": ")
	r.Header.Set(name, value)
	res, err := client.Do(r)
	if err != nil {
		t.Error("an event stream:", err)
		return
	}
	defer res.Body.Close()
	var body io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(res.Body); err != nil {
			t.Error(err)
			return
		}
	}
	first := make([]byte, len("data: first\n\n"))
	if _, err := io.ReadFull(body, first); err != nil || string(first) != "data: first\n\n" {
		t.Errorf("%q does not arrive while the handler runs: %v", first, err)
		return
	}
	release <- struct{}{}
	if rest, err := io.ReadAll(body); err != nil || string(rest) != "data: last\n\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

// parts asks in one envelope for what was asked for alone.
func parts(t *testing.T, client *http.Client, url, accept string, cut bool) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), "POST", url+"/$batch", strings.NewReader(envelopeOf("/items/1", "/items/2?fields=id", "/none")))
	r.Header.Set("Content-Type", "application/json")
	name, value, _ := strings.Cut(accept, ": ")
	r.Header.Set(name, value)
	res, err := client.Do(r)
	if err != nil {
		t.Error("a batch:", err)
		return
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error("a batch:", err)
		return
	}
	if res.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Error(err)
			return
		}
		b, _ = io.ReadAll(zr)
	}
	var out struct{ Responses []part }
	if err := json.Unmarshal(b, &out); err != nil || len(out.Responses) != 3 {
		t.Errorf("a batch: %s, %v: %.200s", res.Status, err, b)
		return
	}
	alone := ask(t, client, "GET", url+"/items/1", "Accept-Encoding: identity")
	second := strings.ReplaceAll(strings.ReplaceAll(alone.body, `:1,`, `:2,`), "item 1", "item 2")
	if cut {
		second = `{"id":2}`
	}
	if got := partStatuses(out.Responses); !slices.Equal(got, []int{200, 200, 404}) || string(out.Responses[0].Body) != alone.body || string(out.Responses[1].Body) != second {
		t.Errorf("parts: %v, %.80s, %.80s", got, out.Responses[0].Body, out.Responses[1].Body)
	}
}
