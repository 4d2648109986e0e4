package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/batch"
)

// Every technique of the table has a test of the name that it says, a file and packages.
func TestTechniques(t *testing.T) {
	for _, technique := range techniques {
		if _, err := os.Stat(technique.where); err != nil {
			t.Errorf("%s: %v", technique.name, err)
		}
		for room := range strings.SplitSeq(technique.room, ", ") {
			if _, err := os.Stat(filepath.Join("../..", room, "doc.go")); err != nil {
				t.Errorf("%s: %v", technique.name, err)
			}
		}
		dir, name, _ := strings.Cut(technique.proof, " ")
		files, _ := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "\nfunc "+name+"(t *testing.T) {")
		}
		if !found {
			t.Errorf("%s: %s has no %s", technique.name, dir, name)
		}
	}
}

// ask sends a request with header fields, and returns the answer without its body.
func ask(t *testing.T, v *Variant, method, path, body string, fields ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+v.Addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

// Who has a page already gets a 304, in the coding that he has, until its price changes.
func TestAnswersRevalidate(t *testing.T) {
	t.Parallel()
	v := shop(t, "after", AllOn())
	for _, coding := range []string{"identity", "gzip", "zstd"} {
		tag := ask(t, v, "GET", "/products/1", "", "Accept-Encoding", coding).Header.Get("ETag")
		if tag == "" {
			tag = ask(t, v, "GET", "/products/1", "", "Accept-Encoding", coding).Header.Get("ETag")
		}
		if resp := ask(t, v, "GET", "/products/1", "", "Accept-Encoding", coding, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified {
			t.Errorf("%s: tag %q: status %d", coding, tag, resp.StatusCode)
		}
		if resp := ask(t, v, "PUT", "/products/1/price", "4321"+fmt.Sprint(len(coding))); resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp.Status)
		}
		if resp := ask(t, v, "GET", "/products/1", "", "Accept-Encoding", coding, "If-None-Match", tag); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: after a new price: status %d", coding, resp.StatusCode)
		}
	}
}

// A page is made into JSON at its miss and into each coding once, however often it leaves.
func TestFormsAreMadeOnce(t *testing.T) {
	t.Parallel()
	v := shop(t, "after", AllOn())
	const pages = 5
	codings := []string{"gzip", "zstd", "br"}
	for range 4 {
		for id := 1; id <= pages; id++ {
			for _, coding := range codings {
				if resp := ask(t, v, "GET", fmt.Sprint("/products/", id), "", "Accept-Encoding", coding); resp.Header.Get("Content-Encoding") != coding {
					t.Errorf("Content-Encoding %q, want %s", resp.Header.Get("Content-Encoding"), coding)
				}
			}
		}
	}
	loads, encodes := v.Layers.Pages.Stats().Loads, v.Layers.Small.Stats().Encodes
	// What a miss brings is encoded as it leaves; at the first hit the form that stays is made.
	if loads != pages || encodes["form"] != uint64(pages*len(codings)) || encodes["whole"] != pages || encodes["stream"] != 0 {
		t.Errorf("%d loads, encodes %v", loads, encodes)
	}
}

// The parts of a home screen run at the same time: each of them waits for all others to be there.
func TestPartsRunTogether(t *testing.T) {
	t.Parallel()
	const parts = 10
	var there atomic.Int64
	all := make(chan struct{})
	h := must(batch.New(batch.Config{Path: "/batch"})).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if there.Add(1) == parts {
			close(all)
		}
		select {
		case <-all:
			w.WriteHeader(http.StatusNoContent)
		case <-time.After(20 * time.Second):
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	ids := strings.Fields("1 2 3 4 5 6 7 8 9 10")
	r := httptest.NewRequest("POST", "/batch", strings.NewReader(homeRequest(ids, envelope).Body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if n := strings.Count(w.Body.String(), `"status":204`); n != parts {
		t.Errorf("%d parts answered: %s", n, w.Body)
	}
}

// Behind the bulkhead nobody waits in database/sql for a connection.
func TestNoMoreQueriesThanConnections(t *testing.T) {
	t.Parallel()
	s := copyOf(t)
	s.rtt = time.Millisecond
	v, err := serveVariant(t.Context(), "after", s, Switches{"bulkhead": true}, "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var wg sync.WaitGroup
	for id := 1; id <= 8*poolSize; id++ {
		wg.Go(func() {
			if resp := ask(t, v, "GET", fmt.Sprint("/products/", id), ""); resp.StatusCode != http.StatusOK {
				t.Error(resp.Status)
			}
		})
	}
	wg.Wait()
	if waits := s.readers.Stats().WaitCount; waits != 0 {
		t.Errorf("%d queries waited for a connection", waits)
	}
}
