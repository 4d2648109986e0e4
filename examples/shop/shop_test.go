package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hotpath-go/hotpath/internal/leaktest"
)

// The driver starts servers as children of its own binary, which in tests is this one.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, spoilers[os.Getenv(spoilEnv)]))
	}
	os.Unsetenv("DATABASE_URL") // of whoever runs the tests
	os.Unsetenv("REDIS_URL")
	leaktest.Main(m)
}

const testProducts = 240

// quick tests say less: of fewer actions, seeds, and phases.
func quick() bool { return testing.Short() || slow }

// testData is the file of the seeded shop, made once.
var testData = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "shop-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file, err := seedData(context.Background(), sqliteFiles{}, dir, testProducts, 1)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// copyOf opens a fresh copy of the test data, without side work.
func copyOf(t testing.TB) *Store {
	t.Helper()
	dir := t.TempDir()
	data, err := testData()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "seed.sqlite")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := Open(sqliteFiles{}, file, testProducts, 0)
	s.SideWork = 0
	return s
}

// shop serves a variant on a fresh copy of the test data.
func shop(t testing.TB, name string, on Switches) *Variant {
	t.Helper()
	s := copyOf(t)
	v, err := serveVariant(t.Context(), name, s, on, "127.0.0.1:0", nil)
	if err != nil {
		s.Close()
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// asks returns what an action asks the database.
func asks(t *testing.T, v *Variant, c *Client, a Action) int64 {
	t.Helper()
	before := v.Store.Counts().Queries
	if _, err := c.Do(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return v.Store.Counts().Queries - before
}

func newTestClient(t testing.TB, v *Variant) *Client {
	c := NewClient(t.Context(), v.Target())
	t.Cleanup(c.Close)
	return c
}

func action(kind Kind) Action {
	a := Action{Kind: kind, Consumer: "test"}
	switch kind {
	case Detail:
		a.Requests = []Request{detailRequest(7)}
	case List:
		a.Requests = []Request{listRequest(3, 1)}
	case Top:
		a.Requests = []Request{{http.MethodGet, "/categories/3/top", "", http.StatusOK}}
	case Home:
		for id := 11; id <= 20; id++ {
			a.Requests = append(a.Requests, detailRequest(id))
		}
	case Price:
		a.Requests = []Request{priceRequest(9, 77)}
	case Order:
		a.Requests = []Request{{http.MethodPost, "/orders", "9", http.StatusCreated}}
	}
	return a
}

// What each kind of action asks the database, in each variant: exact, on any machine.
func TestQueriesPerAction(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		variant string
		on      Switches
		want    map[Kind][2]int64 // the first time, the second
	}{
		{"before", nil, map[Kind][2]int64{Detail: {7, 7}, List: {25, 25}, Top: {11, 11}, Home: {70, 70}, Price: {1, 1}, Order: {1, 1}}},
		{"tuned", nil, map[Kind][2]int64{Detail: {2, 2}, List: {2, 2}, Top: {3, 3}, Home: {20, 20}, Price: {1, 1}, Order: {1, 1}}},
		{"after", AllOn(), map[Kind][2]int64{Detail: {2, 0}, List: {2, 0}, Top: {3, 0}, Home: {2, 0}, Price: {1, 1}, Order: {1, 1}}},
		{ristrettoName, AllOn(), map[Kind][2]int64{Detail: {2, 0}, List: {2, 0}, Top: {3, 0}, Home: {2, 0}, Price: {1, 1}, Order: {1, 1}}},
		{"peers", nil, map[Kind][2]int64{Detail: {2, 0}, List: {2, 0}, Top: {3, 0}, Home: {2, 0}, Price: {1, 1}, Order: {1, 1}}},
		{"after", Switches{"batch": true}, map[Kind][2]int64{Detail: {2, 2}, List: {2, 2}, Top: {3, 3}, Home: {2, 2}, Price: {1, 1}, Order: {1, 1}}},
		{"after", Switches{}, map[Kind][2]int64{Detail: {2, 2}, List: {2, 2}, Top: {3, 3}, Home: {20, 20}, Price: {1, 1}, Order: {1, 1}}},
	} {
		t.Run(fmt.Sprintf("%s with %s", tc.variant, tc.on), func(t *testing.T) {
			v := shop(t, tc.variant, tc.on)
			c := newTestClient(t, v)
			for kind, want := range tc.want {
				a := action(kind)
				if first, second := asks(t, v, c, a), asks(t, v, c, a); first != want[0] || second != want[1] {
					t.Errorf("%s: %d queries, then %d, want %d and %d", kind, first, second, want[0], want[1])
				}
				requests := 1
				if kind == Home && tc.variant != "peers" && !tc.on["batch"] {
					requests = 10
				}
				if n := len(a.via(v.Target().Home)); n != requests {
					t.Errorf("%s: %d requests, want %d", kind, n, requests)
				}
			}
		})
	}
}

// After asks the database exactly what a perfect cache would.
func TestOracle(t *testing.T) {
	t.Parallel()
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		v := shop(t, []string{"after", ristrettoName}[seed%2], AllOn())
		c := newTestClient(t, v)
		w, perfect := NewWorkload(testProducts, seed), newOracle(testProducts)
		total, writes := 0, 0
		for i := range oracleActions {
			a := w.Next()
			want := perfect.queries(a)
			if got := asks(t, v, c, a); got != int64(want) {
				t.Fatalf("seed %d, action %d, %s %v: %d queries, a perfect cache needs %d", seed, i, a.Kind, a.Requests[0], got, want)
			}
			total += want
			if a.Kind == Price || a.Kind == Order {
				writes++
			}
		}
		t.Logf("seed %d: %.2f queries an action, %.2f of them writes", seed, float64(total)/oracleActions, float64(writes)/oracleActions)
	}
}

func TestHundredMissesAreOneLoad(t *testing.T) {
	v := shop(t, "after", AllOn())
	c := newTestClient(t, v)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := c.Do(t.Context(), action(Detail)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := v.Layers.Pages.Stats(); s.Loads != 1 || v.Store.Counts().Queries != 2 {
		t.Errorf("%d loads, %d queries, want 1 load, which is 2 queries", s.Loads, v.Store.Counts().Queries)
	}
}

// No read shows an older price than the last one that was acknowledged, on a product's page or
// in a list: 10,000 interleaved reads and writes by 16 clients.
func TestR9_NoStaleReads(t *testing.T) {
	t.Parallel()
	for name, operations := range map[string]int64{"after": 10_000, ristrettoName: 2_000, "peers": 10_000} {
		if quick() {
			operations /= 8
		}
		s, err := checkStale(t.Context(), shop(t, name, AllOn()).Target(), testProducts, 1, int(operations))
		if err != nil || s.Stale != 0 || s.Reads+s.Writes != operations || s.Writes < operations/5 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

// All variants answer alike and leave the same database behind, with every switch off too.
func TestR8_VariantsAreAlike(t *testing.T) {
	t.Parallel()
	variants := []Target{
		shop(t, "before", nil).Target(), shop(t, "tuned", nil).Target(), shop(t, "peers", nil).Target(), shop(t, "after", AllOn()).Target(),
		shop(t, "after", Switches{}).Target(), shop(t, ristrettoName, AllOn()).Target(),
	}
	for _, name := range allSwitches {
		on := AllOn()
		on[name] = false
		variants = append(variants, shop(t, "after", on).Target())
	}
	actions := alikeActions
	if quick() {
		actions /= 2
	}
	n, err := verifyAlike(t.Context(), variants, testProducts, 2, actions)
	if n != actions || err != nil {
		t.Errorf("%d compared: %v", n, err)
	}
}

// What only one shop answers is not compared, and is not said to be.
func TestR8_OneShopIsNotCompared(t *testing.T) {
	t.Parallel()
	before, tuned := shop(t, "before", nil).Target(), shop(t, "tuned", nil).Target()
	for _, tc := range []struct {
		shops         []Target
		actions, want int
	}{{[]Target{tuned}, 20, 0}, {[]Target{before, tuned}, verifyActionsBefore + 20, verifyActionsBefore}} {
		if n, err := verifyAlike(t.Context(), tc.shops, testProducts, 3, tc.actions); n != tc.want || err != nil {
			t.Errorf("%d shops, %d actions: %d were compared, want %d: %v", len(tc.shops), tc.actions, n, tc.want, err)
		}
	}
}

// spoilt stands around a right variant and makes it wrong.
func spoilt(t *testing.T, spoil func(next http.Handler) http.Handler) Target {
	v := shop(t, "after", Switches{"cache": true}) // plain bodies, to be spoilt
	server := httptest.NewServer(spoil(v.server.Handler))
	t.Cleanup(server.Close)
	return Target{Name: "wrong", Addr: server.Listener.Addr().String(), Digest: v.Store.Digest}
}

// record answers like next, by way of a recorder whose body f may change.
func record(next http.Handler, f func(r *http.Request, body string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for _, name := range []string{"Content-Type", "Content-Encoding"} {
			if v := rec.Header().Get(name); v != "" {
				w.Header().Set(name, v)
			}
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write([]byte(f(r, rec.Body.String())))
	})
}

// The checks are themselves checked: each kind of wrong variant is found.
func TestR8_WrongVariantsAreFound(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(next http.Handler) http.Handler
		want  string
	}{
		"drops a field": {func(next http.Handler) http.Handler {
			return record(next, func(_ *http.Request, body string) string { return strings.Replace(body, `"rating":`, `"x":`, 1) })
		}, "answers differ"},
		"answers 500, fast": {func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
		}, "status 500"},
		"loses writes": {func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					w.WriteHeader(http.StatusCreated)
					return
				}
				next.ServeHTTP(w, r)
			})
		}, "different databases"},
	} {
		wrong := spoilt(t, tc.spoil)
		_, err := verifyAlike(t.Context(), []Target{shop(t, "tuned", nil).Target(), wrong}, testProducts, 1, 300)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("a variant that %s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestR9_StaleReadsAreFound(t *testing.T) {
	t.Parallel()
	for _, of := range []string{"/products/", "/categories/"} {
		var mu sync.Mutex
		old := map[string]string{}
		wrong := spoilt(t, func(next http.Handler) http.Handler {
			return record(next, func(r *http.Request, body string) string {
				mu.Lock()
				defer mu.Unlock()
				if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, of) {
					return body
				}
				if stale := old[r.RequestURI]; stale != "" && rand.IntN(4) > 0 { // an old page, mostly
					return stale
				}
				old[r.RequestURI] = body
				return body
			})
		})
		if s, err := checkStale(t.Context(), wrong, testProducts, 1, 800); err != nil || s.Stale == 0 {
			t.Errorf("stale pages below %s: %+v, %v", of, s, err)
		}
	}
}
