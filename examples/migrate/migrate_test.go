package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// Every block of code in the guide is one of these files, and every one of them is in the guide.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for rest := string(guide); ; {
		_, after, found := strings.Cut(rest, "```go\n")
		if !found {
			break
		}
		block, tail, _ := strings.Cut(after, "```")
		shown, rest = append(shown, block), tail
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"\t// old:", "\t// new:"} {
			for _, part := range strings.Split(string(text), kind)[1:] {
				_, code, _ := strings.Cut(part, "\n")
				code, _, _ = strings.Cut(code, "\t// end\n")
				there = append(there, strings.TrimPrefix(strings.ReplaceAll("\n"+code, "\n\t", "\n"), "\n"))
			}
		}
	}
	for _, block := range shown {
		if !slices.Contains(there, block) {
			t.Errorf("the guide shows what is in no file:\n%s", block)
		}
	}
	for _, code := range there {
		if !slices.Contains(shown, code) {
			t.Errorf("the guide does not show\n%s", code)
		}
	}
	if len(there) < 11 {
		t.Errorf("%d pieces of code", len(there))
	}
}

func TestCompression(t *testing.T) {
	mux := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, strings.Repeat("long ", 1000))
	})
	for name, wrap := range map[string]func(http.Handler) (http.Handler, error){"old": gzhttpOld, "new": gzhttpNew} {
		h, err := wrap(mux)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(name, err)
		}
		if text, err := io.ReadAll(body); err != nil || len(text) != 5000 || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d bytes, %v, %v", name, len(text), err, w.Header())
		}
	}
}

func TestLimits(t *testing.T) {
	for name, wrap := range map[string]func(http.Handler) (http.Handler, error){"old": httprateOld, "new": httprateNew} {
		h, err := wrap(http.NotFoundHandler())
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for range 150 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code == http.StatusTooManyRequests {
				refused++
			}
		}
		if refused < 40 || refused > 50 { // a bucket of 100 fills by one in 600 ms
			t.Errorf("%s: %d of 150 refused", name, refused)
		}
	}
}

func TestLoadsOnce(t *testing.T) {
	for name, build := range map[string]func(func(context.Context, string) (user, error)) (func(context.Context, string) (user, error), error){
		"old": singleflightOld, "new": singleflightNew,
	} {
		var loads atomic.Int64
		begun, goOn := make(chan struct{}), make(chan struct{})
		get, err := build(func(context.Context, string) (user, error) {
			if loads.Add(1) == 1 {
				close(begun)
			}
			<-goOn
			return user{"Ada"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		ask := func() {
			if u, err := get(t.Context(), "1"); u.Name != "Ada" || err != nil {
				t.Errorf("%s: %v, %v", name, u, err)
			}
		}
		wg.Go(ask)
		<-begun
		close(goOn)
		wg.Wait()
		if name == "new" { // the old one's Set may come later, or never
			ask()
			if loads.Load() != 1 {
				t.Errorf("%d loads", loads.Load())
			}
		}
	}
}

func TestLoaders(t *testing.T) {
	fetch := func(_ context.Context, ids []int) (map[int]user, error) {
		found := map[int]user{}
		for _, id := range ids {
			found[id] = user{fmt.Sprint("user ", id)}
		}
		return found, nil
	}
	loader, err := dataloaderNew(fetch)
	if err != nil {
		t.Fatal(err)
	}
	for name, load := range map[string]func(context.Context, int) (user, error){"old": dataloaderOld(fetch), "new": loader} {
		var wg sync.WaitGroup
		for id := range 20 {
			wg.Go(func() {
				if u, err := load(t.Context(), id); err != nil || u.Name != fmt.Sprint("user ", id) {
					t.Errorf("%s: %v, %v", name, u, err)
				}
			})
		}
		wg.Wait()
	}
}

func TestPools(t *testing.T) {
	for name, run := range map[string]func(context.Context, []mail) error{"ants": antsOld, "pond": pondOld, "new": poolNew} {
		var sent atomic.Int64
		var mails []mail
		for range 100 {
			mails = append(mails, func(context.Context) error { sent.Add(1); return nil })
		}
		if err := run(t.Context(), mails); err != nil || sent.Load() != 100 {
			t.Errorf("%s: %d sent, %v", name, sent.Load(), err)
		}
	}
	twice := func(_ context.Context, id int) (user, error) {
		if id < 0 {
			return user{}, errors.New("no such user")
		}
		return user{fmt.Sprint(id)}, nil
	}
	if all, err := errgroupNew(t.Context(), []int{1, 2, 3}, twice); err != nil || fmt.Sprint(all) != "[{1} {2} {3}]" {
		t.Error(all, err)
	}
	if _, err := errgroupNew(t.Context(), []int{1, -2, 3}, twice); err == nil {
		t.Error("no error")
	}
}
