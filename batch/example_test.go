package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/batch"
)

// newUsers returns a loader of user names that says what it fetches. Its MaxWait is long, for the
// examples must print the same where a machine is so busy that it starts no goroutine for 2 ms.
func newUsers() *batch.Loader[int, string] {
	users, err := batch.NewLoader(batch.LoaderConfig[int, string]{
		Fetch: func(_ context.Context, ids []int) (map[int]string, error) {
			fmt.Println("fetch of", len(ids))
			names := make(map[int]string)
			for _, id := range ids {
				if id > 0 {
					names[id] = fmt.Sprint("user ", id)
				}
			}
			return names, nil
		},
		MaxWait: time.Minute,
	})
	if err != nil {
		panic(err)
	}
	return users
}

// Tasks of a scope that load one key each are one fetch, and no clock is involved.
func Example() {
	users := newUsers()
	ctx := batch.WithScope(context.Background())
	names := make([]string, 50)
	for i := range names {
		batch.Go(ctx, func(ctx context.Context) (err error) {
			names[i], err = users.Load(ctx, i+1)
			return err
		})
	}
	if err := batch.Wait(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(names[0], "to", names[49])
	// Output:
	// fetch of 50
	// user 1 to user 50
}

func ExampleNewLoader() {
	users := newUsers()
	ctx := batch.WithScope(context.Background())
	name, err := users.Load(ctx, 7)
	fmt.Println(name, err)
	name, err = users.Load(ctx, 7) // remembered by the scope
	fmt.Println(name, err)
	_, err = users.Load(ctx, -1)
	fmt.Println(errors.Is(err, batch.ErrNotFound))
	// Output:
	// fetch of 1
	// user 7 <nil>
	// user 7 <nil>
	// fetch of 1
	// true
}

// A Fetch that could answer some keys only says which failed.
func ExampleErrors() {
	prices, err := batch.NewLoader(batch.LoaderConfig[string, int]{
		Fetch: func(context.Context, []string) (map[string]int, error) {
			return map[string]int{"lamp": 5}, batch.Errors[string]{"chair": errors.New("price is being changed")}
		},
	})
	if err != nil {
		panic(err)
	}
	values, err := prices.LoadAll(context.Background(), []string{"lamp", "chair", "lamp"})
	fmt.Println(values)
	fmt.Println(err)
	// Output:
	// [5 0 5]
	// batch: 1 keys failed: chair: price is being changed
}

// Keys of two loaders at once, without a goroutine: what is deferred goes along.
func ExampleLoader_Defer() {
	users, orders := newUsers(), newUsers()
	ctx := batch.WithScope(context.Background())
	user, first, second := users.Defer(ctx, 1), orders.Defer(ctx, 2), orders.Defer(ctx, 3)
	name, _ := user() // both loaders fetch now
	one, _ := first()
	two, _ := second()
	fmt.Println(name, one, two)
	// Unordered output:
	// fetch of 1
	// fetch of 2
	// user 1 user 2 user 3
}

// After a write the scope still remembers what was read before it.
func ExampleLoader_Forget_pitfall() {
	stock := 1
	items, err := batch.NewLoader(batch.LoaderConfig[string, int]{
		Fetch: func(context.Context, []string) (map[string]int, error) { return map[string]int{"lamp": stock}, nil },
	})
	if err != nil {
		panic(err)
	}
	ctx := batch.WithScope(context.Background())
	read := func() { n, _ := items.Load(ctx, "lamp"); fmt.Println(n) }
	read()
	stock = 0
	read() // wrong
	items.Forget(ctx, "lamp")
	read()
	// Output:
	// 1
	// 1
	// 0
}

func ExampleNew() {
	users := newUsers()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		var id int
		_, _ = fmt.Sscan(r.PathValue("id"), &id)
		name, err := users.Load(r.Context(), id)
		if err != nil {
			http.Error(w, "no such user", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"name":%q}`, name)
	})
	many, err := batch.New(batch.Config{Path: "/v1/$batch"})
	if err != nil {
		panic(err)
	}
	srv := httptest.NewServer(many.Handler(mux))
	defer srv.Close()

	res, err := http.Post(srv.URL+"/v1/$batch", "application/json", strings.NewReader(`{"requests":[
		{"id": "a", "method": "GET", "url": "/users/1"},
		{"id": "b", "method": "GET", "url": "/users/2"}]}`))
	if err != nil {
		panic(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	fmt.Println(string(bytes.ReplaceAll(body, []byte(`{"id"`), []byte("\n"+`{"id"`))))
	// Output:
	// fetch of 2
	// {"responses":[
	// {"id":"a","status":200,"headers":{"Content-Type":"application/json"},"body":{"name":"user 1"}},
	// {"id":"b","status":200,"headers":{"Content-Type":"application/json"},"body":{"name":"user 2"}}]}
}

// A route that must not be part of a batch says so itself.
func ExamplePart() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if _, _, is := batch.Part(r.Context()); is {
			http.Error(w, "not in a batch", http.StatusForbidden)
			return
		}
		fmt.Fprintln(w, "welcome")
	})
	many, err := batch.New(batch.Config{})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("POST", "/$batch", strings.NewReader(`{"requests":[{"id":"1","method":"POST","url":"/login"}]}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	many.Handler(mux).ServeHTTP(w, r)
	fmt.Println(strings.Contains(w.Body.String(), `"status":403`))
	// Output: true
}

type tenantKey struct{}

// Fetch sees the values that the context had where its scope was opened: a scope that is opened
// before authentication does not know who is calling.
func ExampleScoped_pitfall() {
	prices, err := batch.NewLoader(batch.LoaderConfig[int, string]{
		Fetch: func(ctx context.Context, ids []int) (map[int]string, error) {
			return map[int]string{ids[0]: fmt.Sprint("prices of tenant ", ctx.Value(tenantKey{}))}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	page := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		v, err := prices.Load(r.Context(), 1)
		fmt.Println(v, err)
	})
	authenticate := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, "A")))
		})
	}
	for _, h := range []http.Handler{
		batch.Scoped(authenticate(page)), // wrong
		authenticate(batch.Scoped(page)),
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	// Output:
	// prices of tenant <nil> <nil>
	// prices of tenant A <nil>
}
