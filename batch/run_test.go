package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// statuses runs an envelope of parts "id needs... : status" and returns the answers' statuses and the
// order in which handlers began and ended.
func statuses(t *testing.T, cfg batch.Config, specs []string, fields ...string) (got []int, order []string) {
	t.Helper()
	var parts []string
	for _, spec := range specs {
		left, status, _ := strings.Cut(spec, ":")
		words := strings.Fields(left)
		needs := "[]"
		if len(words) > 1 {
			needs = `["` + strings.Join(words[1:], `","`) + `"]`
		}
		parts = append(parts, fmt.Sprintf(`{"id":%q,"method":"GET","url":"/%s/%s","dependsOn":%s}`, words[0], words[0], strings.TrimSpace(status), needs))
	}
	var mu sync.Mutex
	h := newEndpoint(t, cfg).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var id string
		var status int
		_, _ = fmt.Sscanf(strings.ReplaceAll(r.URL.Path, "/", " "), "%s %d", &id, &status)
		mu.Lock()
		order = append(order, id)
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		order = append(order, "-"+id)
		mu.Unlock()
		w.WriteHeader(status)
	}))
	for _, a := range answers(t, post(h, "/$batch", `{"requests":[`+strings.Join(parts, ",")+`]}`, fields...)) {
		got = append(got, a.Status)
	}
	return got, order
}

// R1: parts run in any order that dependsOn allows; what depends on less than 2xx is 424, and what
// depends on that.
func TestR1_Dependencies(t *testing.T) {
	for name, c := range map[string]struct {
		specs []string
		want  []int
	}{
		"diamond":       {[]string{"a:200", "b a:201", "c a:204", "d b c:200"}, []int{200, 201, 204, 200}},
		"chain":         {[]string{"a:200", "b a:200", "c b:200", "d c:200"}, []int{200, 200, 200, 200}},
		"failed chain":  {[]string{"a:404", "b a:200", "c b:200", "d:200"}, []int{404, 424, 424, 200}},
		"half failed":   {[]string{"a:200", "b:500", "c a b:200", "d c:200", "e a:200"}, []int{200, 500, 424, 424, 200}},
		"304 is no 2xx": {[]string{"a:304", "b a:200", "c:302", "d c:200"}, []int{304, 424, 302, 424}},
		"repeated":      {[]string{"a:200", "b a a a:200"}, []int{200, 200}},
	} {
		synctest.Test(t, func(t *testing.T) {
			got, order := statuses(t, batch.Config{}, c.specs)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
			for _, spec := range c.specs {
				left, _, _ := strings.Cut(spec, ":")
				words := strings.Fields(left)
				if began := slices.Index(order, words[0]); began >= 0 {
					for _, need := range words[1:] {
						if slices.Index(order, "-"+need) > began || slices.Index(order, "-"+need) < 0 {
							t.Errorf("%s: %s began before %s had ended: %v", name, words[0], need, order)
						}
					}
				}
			}
		})
	}
}

// R1: independent parts run side by side, Concurrency at a time.
func TestR1_Concurrency(t *testing.T) {
	for concurrency, want := range map[int]time.Duration{1: 20 * time.Millisecond, 7: 3 * time.Millisecond, 0: 2 * time.Millisecond, 100: time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var specs []string
			for i := range 20 {
				specs = append(specs, fmt.Sprintf("p%d:200", i))
			}
			start := time.Now()
			statuses(t, batch.Config{Concurrency: concurrency}, specs)
			if took := time.Since(start); took != want {
				t.Errorf("Concurrency %d: %v, want %v", concurrency, took, want)
			}
		})
	}
}

// R2: failures stop nothing, unless the client asked for it.
func TestR2_ContinueOnError(t *testing.T) {
	specs := []string{"a:200", "b:404", "c:200", "d:200"}
	for prefer, want := range map[string][]int{
		"":                                {200, 404, 200, 200},
		"continue-on-error":               {200, 404, 200, 200},
		"continue-on-error=false":         {200, 404, 424, 424},
		`odata.continue-on-error="false"`: {200, 404, 424, 424},
		"return=minimal, Continue-On-Error=FALSE;x": {200, 404, 424, 424},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got, _ := statuses(t, batch.Config{Concurrency: 1}, specs, "Prefer", prefer); !slices.Equal(got, want) {
				t.Errorf("%q: %v, want %v", prefer, got, want)
			}
		})
	}
	w := post(newEndpoint(t, batch.Config{}).Handler(seen), "/$batch", get("/a"), "Prefer", "continue-on-error=false")
	if w.Header().Get("Preference-Applied") != "continue-on-error=false" {
		t.Errorf("%v", w.Header())
	}
}

// R2: a part that cannot run stops what comes after it, and nothing before.
func TestR2_FaultsInTheirTurn(t *testing.T) {
	h := newEndpoint(t, batch.Config{Concurrency: 1}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		envelope string
		want     []int
	}{
		{`{"requests":[{"id":"1","method":"POST","url":"x"},{"id":"2","method":"GET","url":"//evil"},{"id":"3","method":"GET","url":"x"}]}`, []int{200, 400, 424}},
		{`{"requests":[{"id":"1","method":"POST","url":"x"},{"id":"2","method":"GET","url":"//evil","dependsOn":["1"]},{"id":"3","method":"GET","url":"x","dependsOn":["2"]}]}`, []int{200, 400, 424}},
	} {
		var got []int
		for _, a := range answers(t, post(h, "/$batch", c.envelope, "Prefer", "continue-on-error=false")) {
			got = append(got, a.Status)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

// loads answers with the value of /key or of /key/key: each a load, one after the other.
func loads(l *batch.Loader[int, int]) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key := range strings.SplitSeq(r.URL.Path[1:], "/") {
			var k int
			_, _ = fmt.Sscan(key, &k)
			v, err := l.Load(r.Context(), k)
			fmt.Fprint(w, v, err)
		}
	})
}

func urls(n int, form string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(form, i))
	}
	return all
}

// R3: the parts of a batch share a scope: 20 parts, and 100 on 8 slots, are one fetch.
func TestR3_PartsShareAScope(t *testing.T) {
	for _, c := range []struct{ parts, slots int }{{20, 0}, {100, 8}, {100, 1}, {1, 1}} {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				s, l := setup(t, batch.LoaderConfig[int, int]{})
				start := time.Now()
				got := answers(t, post(newEndpoint(t, batch.Config{Concurrency: c.slots}).Handler(loads(l)), "/$batch", get(urls(c.parts, "/%d")...)))
				took := time.Since(start)
				if want := time.Millisecond + time.Duration(c.parts)*2*time.Microsecond; s.count() != 1 || took != want {
					t.Fatalf("%d parts on %d: %d fetches in %v, want 1 in %v", c.parts, c.slots, s.count(), took, want)
				}
				for i, a := range got {
					if string(a.Body) != fmt.Sprintf(`"%d \u003cnil\u003e"`, 10*i) && string(a.Body) != fmt.Sprintf(`"%d <nil>"`, 10*i) {
						t.Errorf("%s", a.Body)
					}
				}
			})
		}
	}
}

// R3: what a fetch has woken is not held back: three levels on two slots are three fetches.
func TestR3_LevelsInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		post(newEndpoint(t, batch.Config{Concurrency: 2}).Handler(loads(l)), "/$batch", get(urls(30, "/%[1]d/1%[1]d/2%[1]d")...))
		if s.count() > 3 {
			t.Errorf("%d fetches: %s", s.count(), s.seen())
		}
	})
}

// R3: with Scoped outside the parts are fused, also with the envelope's own loads; inside they are not.
func TestR3_Scoped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, outside := range []bool{true, false} {
			s, l := setup(t, batch.LoaderConfig[int, int]{MaxConcurrent: 100})
			h, e := loads(l), newEndpoint(t, batch.Config{})
			want := 1
			if outside {
				h = batch.Scoped(e.Handler(h))
			} else {
				h, want = e.Handler(batch.Scoped(h)), 20
			}
			answers(t, post(h, "/$batch", get(urls(20, "/%d")...)))
			if s.count() != want {
				t.Errorf("Scoped outside: %t: %d fetches, want %d", outside, s.count(), want)
			}
		}
	})
}

// R3: a dependent part is not waited for by those it depends on.
func TestR3_DependentParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		start := time.Now()
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			loads(l).ServeHTTP(w, r)
			if r.URL.Path == "/2" {
				time.Sleep(100 * time.Microsecond) // the part that comes after it must be waited for
			}
		})
		post(newEndpoint(t, batch.Config{}).Handler(slow), "/$batch", `{"requests":[{"id":"a","method":"GET","url":"/1"},{"id":"b","method":"GET","url":"/2"},
			{"id":"c","method":"GET","url":"/3","dependsOn":["a"]},{"id":"d","method":"GET","url":"/4","dependsOn":["b"]}]}`)
		if got, took := s.seen(), time.Since(start); got != "[[1 2] [3 4]]" || took != 2108*time.Microsecond {
			t.Errorf("%s in %v", got, took)
		}
	})
}

// R4: after a part with an unsafe method nothing from before is remembered, and caches outside hear of it.
func TestR4_UnsafeParts(t *testing.T) {
	for _, c := range []struct {
		method, behave string
		fetches        int
	}{{"PATCH", "", 2}, {"POST", "panic", 2}, {"DELETE", "", 2}, {"GET", "", 1}, {"OPTIONS", "", 1}} {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		h := newEndpoint(t, batch.Config{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/write" {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(201)
				if c.behave == "panic" {
					panic(c.behave)
				}
				return
			}
			loads(l).ServeHTTP(w, r)
		}))
		r := httptest.NewRequest("POST", "http://service.test/$batch", strings.NewReader(`{"requests":[{"id":"1","method":"GET","url":"/1"},
			{"id":"2","method":"`+c.method+`","url":"/write","dependsOn":["1"]},{"id":"3","method":"GET","url":"/7/1"},{"id":"4","method":"GET","url":"/1","dependsOn":["1","3"]}]}`))
		if c.behave == "" {
			r = httptest.NewRequest("POST", "http://service.test/$batch", strings.NewReader(`{"requests":[{"id":"1","method":"GET","url":"/1"},
			{"id":"2","method":"`+c.method+`","url":"/write","dependsOn":["1"]},{"id":"3","method":"GET","url":"/1","dependsOn":["2"]}]}`))
		}
		r.Header.Set("Content-Type", "application/json")
		w := &invalidated{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		answers(t, w.ResponseRecorder)
		n := 0
		for _, keys := range s.fetches {
			if slices.Contains(keys, 1) {
				n++
			}
		}
		if c.behave == "" && n != c.fetches {
			t.Errorf("%s: %d fetches of the key, want %d", c.method, n, c.fetches)
		}
		want := ""
		if c.fetches == 2 {
			want = c.method + " /write 201 /elsewhere"
		}
		if w.told != want {
			t.Errorf("%s: told %q, want %q", c.method, w.told, want)
		}
	}
}

type invalidated struct {
	*httptest.ResponseRecorder
	told string
}

func (i *invalidated) Invalidate(part *http.Request, status int, h http.Header) {
	i.told += fmt.Sprint(part.Method, " ", part.URL.Path, " ", status, " ", h.Get("Location"))
}

// R3: a part that waits in a scope of its own gives its place away, too.
func TestR3_InnerScopesGivePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		s.delay = time.Second
		h := newEndpoint(t, batch.Config{Concurrency: 1}).Handler(batch.Scoped(batch.Scoped(loads(l))))
		start := time.Now()
		answers(t, post(h, "/$batch", get(urls(5, "/%d")...)))
		if took := time.Since(start); took > 1100*time.Millisecond || s.count() != 5 {
			t.Errorf("%v for %d fetches side by side", took, s.count())
		}
	})
}

// R4: what a part writes is forgotten in the scopes around the envelope's, too.
func TestR4_OuterScopes(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{})
	outer := batch.WithScope(t.Context())
	wantLoad(t, outer, l, 1)
	wantLoad(t, outer, l, 1)
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for method, want := range map[string]int{"GET": 0, "PATCH": 1} {
		before := s.count()
		r := httptest.NewRequest("POST", "/$batch", strings.NewReader(one(`"method":"`+method+`","url":"a"`)))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(batch.WithScope(batch.WithScope(outer))))
		if wantLoad(t, outer, l, 1); s.count()-before != want {
			t.Errorf("%s: %d fetches, want %d", method, s.count()-before, want)
		}
	}
}

// R4, P7: a GET that is allowed to be another method is taken for one that writes.
func TestR4_AllowedOverrides(t *testing.T) {
	_, l := setup(t, batch.LoaderConfig[int, int]{})
	h := newEndpoint(t, batch.Config{Concurrency: 1, AllowHeaders: []string{"X-HTTP-Method-Override", "Range"}}).Handler(loads(l))
	for field, want := range map[string]uint64{"X-HTTP-Method-Override": 2, "Range": 1} {
		before := l.Stats().Loads["fetched"]
		post(h, "/$batch", `{"requests":[{"id":"1","method":"GET","url":"1","headers":{"`+field+`":"DELETE"}},{"id":"2","method":"GET","url":"1","dependsOn":["1"]}]}`)
		if n := l.Stats().Loads["fetched"] - before; n != want {
			t.Errorf("%s: fetched %d times, want %d", field, n, want)
		}
	}
}

// R4: a part that writes and takes too long has maybe written when it is answered; one that a
// throttle refused has not.
func TestR4_LateAndRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := setup(t, batch.LoaderConfig[int, int]{})
		ctx := batch.WithScope(t.Context())
		wantLoad(t, ctx, l, 1)
		h := newEndpoint(t, batch.Config{PartTimeout: time.Second}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }))
		serve := func(w http.ResponseWriter) {
			r := httptest.NewRequest("POST", "/$batch", strings.NewReader(one(`"method":"PUT","url":"a"`)))
			r.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(w, r.WithContext(ctx))
		}
		serve(&charger{ResponseRecorder: httptest.NewRecorder()})
		wantLoad(t, ctx, l, 1)
		if n := l.Stats().Loads["fetched"]; n != 1 {
			t.Errorf("refused: fetched %d times, want 1", n)
		}
		w := &invalidated{ResponseRecorder: httptest.NewRecorder()}
		serve(w)
		wantLoad(t, ctx, l, 1)
		if n := l.Stats().Loads["fetched"]; n != 2 {
			t.Errorf("late: fetched %d times, want 2", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if w.told != "PUT /a 204 " { // caches outside forget what they may have kept since the answer
			t.Errorf("late: told %q", w.told)
		}
	})
}

// R5: a part that a throttle outside refuses has its answer; others go on, and it does not run.
func TestR5_Charged(t *testing.T) {
	ran := 0
	h := newEndpoint(t, batch.Config{Concurrency: 1}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ }))
	r := httptest.NewRequest("POST", "http://service.test/$batch", strings.NewReader(get("/a", "//faulty", "/b", "/c")))
	r.Header.Set("Content-Type", "application/json")
	w := &charger{ResponseRecorder: httptest.NewRecorder(), left: 2}
	h.ServeHTTP(w, r)
	var got []int
	for _, a := range answers(t, w.ResponseRecorder) {
		got = append(got, a.Status)
		if a.Status == 429 && a.Headers["Retry-After"] != "7" {
			t.Errorf("%v", a)
		}
	}
	if !slices.Equal(got, []int{200, 400, 200, 429}) || ran != 2 {
		t.Errorf("%v, %d ran", got, ran)
	}
}

type charger struct {
	*httptest.ResponseRecorder
	left int
}

func (c *charger) Return(*http.Request) {}
func (c *charger) Charge(*http.Request) http.Handler {
	if c.left--; c.left >= 0 {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(429)
	})
}

// R6: a panic, an abort and a Goexit are their own part's alone.
func TestR6_Panics(t *testing.T) {
	for _, concurrency := range []int{1, 16} {
		var log bytes.Buffer
		e := newEndpoint(t, batch.Config{Concurrency: concurrency, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		h := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			switch r.URL.Path {
			case "/panic":
				panic("a secret")
			case "/nil":
				panic(nil) //nolint:govet // what a user's code may do
			case "/abort":
				panic(http.ErrAbortHandler)
			case "/goexit":
				runtime.Goexit()
			}
		}))
		w := post(h, "/$batch", get("/a", "/panic", "/b", "/abort", "/goexit", "/nil", "/c"))
		var got []int
		for _, a := range answers(t, w) {
			got = append(got, a.Status)
		}
		if !slices.Equal(got, []int{200, 500, 200, 502, 500, 500, 200}) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v %s", got, w.Body)
		}
		if text := log.String(); strings.Count(text, "level=ERROR") != 3 || !strings.Contains(text, "a secret") || !strings.Contains(text, "TestR6_Panics") || !strings.Contains(text, "path=/panic") {
			t.Errorf("%s", text)
		}
		if s := e.Stats(); s.Parts["panic"] != 4 || s.Parts["2xx"] != 3 || s.Running != 0 {
			t.Errorf("%v", s.Parts)
		}
	}
}

// R6: a part that takes too long is 504 at once; its handler keeps its place, its context ends and its writer fails.
func TestR6_PartTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		e := newEndpoint(t, batch.Config{PartTimeout: time.Second, Concurrency: 2})
		h := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				_, _ = io.WriteString(w, "half")
				<-r.Context().Done()
				if !errors.Is(r.Context().Err(), context.DeadlineExceeded) {
					t.Error(r.Context().Err())
				}
				time.Sleep(10 * time.Second)
				_, err := io.WriteString(w, "late")
				w.Header().Set("X-Late", "1")
				w.WriteHeader(201)
				ended <- err
			default:
				time.Sleep(600 * time.Millisecond)
			}
		}))
		start := time.Now()
		w := post(h, "/$batch", strings.Replace(get("/slow", "/a", "/b"), `"GET"`, `"POST"`, 1))
		if took := time.Since(start); took != 1200*time.Millisecond {
			t.Errorf("took %v: the slow part keeps its place, the others share the other one", took)
		}
		got := answers(t, w)
		if got[0].Status != 504 || got[1].Status != 200 || got[2].Status != 200 {
			t.Errorf("%s", w.Body)
		}
		if s := e.Stats(); s.Running != 1 || s.Parts["timeout"] != 1 {
			t.Errorf("%d running, %v", s.Running, s.Parts)
		}
		if err := <-ended; err == nil {
			t.Error("the writer of an answered part still writes")
		}
		synctest.Wait()
		if n := e.Stats().Running; n != 0 {
			t.Errorf("%d running", n)
		}
	})
}

// R6: when handlers that took too long hold all places, what waits for one is answered: nothing of it ran.
func TestR6_AllPlacesLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, batch.LoaderConfig[int, int]{Fetch: func(context.Context, []int) (map[int]int, error) {
			time.Sleep(500 * time.Millisecond)
			return nil, nil
		}})
		e := newEndpoint(t, batch.Config{PartTimeout: time.Second, Concurrency: 2})
		h := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/load": // its place goes to another part
				_, _ = l.Load(r.Context(), 1)
			case "/slow":
				time.Sleep(time.Hour)
			}
		}))
		start := time.Now()
		w := post(h, "/$batch", `{"requests":[{"id":"1","method":"GET","url":"slow"},{"id":"2","method":"GET","url":"load"},{"id":"3","method":"GET","url":"slow"},
			{"id":"4","method":"GET","url":"a"},{"id":"5","method":"GET","url":"a","dependsOn":["4"]},{"id":"6","method":"GET","url":"a","dependsOn":["2"]}]}`)
		if took := time.Since(start); took != time.Second {
			t.Errorf("answered after %v, want 1 s", took)
		}
		var got []int
		for _, a := range answers(t, w) {
			got = append(got, a.Status)
		}
		if !slices.Equal(got, []int{504, 200, 504, 503, 424, 503}) {
			t.Errorf("%v", got)
		}
		synctest.Wait()
		if s := e.Stats(); s.Running != 2 || s.Parts["refused"] != 2 {
			t.Errorf("%d running, %v", s.Running, s.Parts)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := e.Stats().Running; n != 0 {
			t.Errorf("%d running", n)
		}
	})
}

// R6: a place that a late handler gives back, or lends while it waits for a fetch, is not lost.
func TestR6_PlacesAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, batch.LoaderConfig[int, int]{Fetch: func(context.Context, []int) (map[int]int, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}})
		ctx := batch.WithScope(t.Context())
		e := newEndpoint(t, batch.Config{PartTimeout: time.Second, Concurrency: 2})
		h := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/ends":
				time.Sleep(1100 * time.Millisecond)
			case "/lends":
				time.Sleep(1200 * time.Millisecond)
				_, _ = l.Load(context.WithoutCancel(r.Context()), 1)
			default:
				time.Sleep(900 * time.Millisecond)
			}
		}))
		for _, url := range []string{"/ends", "/lends"} {
			start := time.Now()
			r := httptest.NewRequest("POST", "http://service.test/$batch", strings.NewReader(get(url, "/a", "/b", "/c", "/d")))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.WithContext(ctx))
			for _, a := range answers(t, w)[1:] {
				if a.Status != 200 {
					t.Errorf("%s: %d %s", url, a.Status, a.Body)
				}
			}
			// a, b and d at the place beside it until 2.7 s; c at its place.
			if took := time.Since(start); took != 2700*time.Millisecond {
				t.Errorf("%s: took %v", url, took)
			}
		}
		// One that is lost later is the only one that is.
		for _, url := range []string{"/ends", "/lends"} {
			r := httptest.NewRequest("POST", "http://service.test/$batch", strings.NewReader(get(url, "/a", url, "/b", "/c", "/d")))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.WithContext(ctx))
			for i, a := range answers(t, w) {
				if want := []int{504, 200, 504, 200, 200, 200}[i]; a.Status != want {
					t.Errorf("%s: %d: %d %s", url, i, a.Status, a.Body)
				}
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
	})
}

// R3, R6: what a handler has left behind gives no place away: its place went on when it ended.
func TestR3_LeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := setup(t, batch.LoaderConfig[int, int]{})
		running := make(chan struct{})
		h := newEndpoint(t, batch.Config{Concurrency: 1}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/leaves":
				go func() {
					<-running
					_, _ = l.Load(context.WithoutCancel(r.Context()), 1)
				}()
				return
			case "/a":
				close(running)
			}
			time.Sleep(time.Second)
		}))
		start := time.Now()
		answers(t, post(h, "/$batch", get("/leaves", "/a", "/b")))
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v: two parts ran at a time", took)
		}
		synctest.Wait()
	})
}

// R6: when the client is gone all parts are cancelled, and none starts any more.
func TestR6_ClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began, cancelled atomic.Int64
		h := newEndpoint(t, batch.Config{Concurrency: 3}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			began.Add(1)
			<-r.Context().Done()
			cancelled.Add(1)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequest("POST", "http://service.test/$batch", strings.NewReader(get(urls(10, "/%d")...))).WithContext(ctx)
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if began.Load() != 3 || cancelled.Load() != 3 {
			t.Errorf("%d began, %d were cancelled, want 3", began.Load(), cancelled.Load())
		}
	})
}

// R7: what is not supported is said, never ignored.
func TestR7_Unsupported(t *testing.T) {
	ran := 0
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ }))
	got := answers(t, post(h, "/$batch", `{"requests":[
		{"id":"1","method":"POST","url":"/a","if":"x"},
		{"id":"2","method":"POST","url":"/a","atomicityGroup":"g"},
		{"id":"3","method":"POST","url":"/a","atomicityGroup":"g"},
		{"id":"4","method":"GET","url":"$2/Orders"},
		{"id":"5","method":"GET","url":"/$1"},
		{"id":"6","method":"GET","url":"/a","dependsOn":["g"]},
		{"id":"7","method":"GET","url":"$9"}]}`))
	var all []int
	for _, a := range got {
		all = append(all, a.Status)
	}
	if !slices.Equal(all, []int{424, 501, 501, 501, 501, 424, 200}) || ran != 1 {
		t.Errorf("%v, %d ran", all, ran)
	}
}

// A cache's hit is lent, not copied, and what follows it is not lost.
func TestA3_OfferedBodies(t *testing.T) {
	stored := []byte(strings.Repeat("stored ", 1000))
	v := rw.NewVariants(stored, nil)
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		rw.Offer(w, v)
		_, _ = w.Write(v.Body())
		if r.URL.Path == "/more" {
			_, _ = io.WriteString(w, "and more")
		}
	}))
	got := answers(t, post(h, "/$batch", get("/hit", "/more")))
	if string(got[0].Body) != `"`+string(stored)+`"` || string(got[1].Body) != `"`+string(stored)+`and more"` {
		t.Errorf("%.100s %.100s", got[0].Body, got[1].Body)
	}
}
