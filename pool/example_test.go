package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

func Example() {
	jobs, err := pool.New(pool.Config{})
	if err != nil {
		log.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := jobs.Go(r.Context(), func(ctx context.Context) error {
			fmt.Println("mail sent") // r.Context() has ended by now, ctx has not
			return ctx.Err()
		})
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/orders", nil).WithContext(ctx))
	cancel()

	// After srv.Shutdown has returned:
	fmt.Println(jobs.Close(context.Background()))
	// Output:
	// mail sent
	// <nil>
}

func ExampleSubmit() {
	p, _ := pool.New(pool.Config{})
	ctx := context.Background()
	price := pool.Submit(ctx, p, func(context.Context) (int, error) { return 42, nil })
	v, err := price.Wait(ctx)
	fmt.Println(v, err)
	_ = p.Close(ctx)
	// Output: 42 <nil>
}

func ExampleMap() {
	p, _ := pool.New(pool.Config{})
	squares, err := pool.Map(context.Background(), p, []int{1, 2, 3}, func(_ context.Context, v int) (int, error) { return v * v, nil })
	fmt.Println(squares, err)
	_ = p.Close(context.Background())
	// Output: [1 4 9] <nil>
}

func ExampleStream() {
	p, _ := pool.New(pool.Config{})
	words := slices.Values([]string{"a", "bb", "ccc"})
	for n, err := range pool.Stream(context.Background(), p, words, func(_ context.Context, v string) (int, error) { return len(v), nil }) {
		fmt.Println(n, err)
	}
	_ = p.Close(context.Background())
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

func ExamplePool_After() {
	p, _ := pool.New(pool.Config{})
	h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = p.After(r.Context(), func(context.Context) error { fmt.Println("counted"); return nil })
		fmt.Println("answered")
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	_ = p.Close(context.Background())
	// Output:
	// answered
	// counted
}

func ExampleCloseError() {
	p, _ := pool.New(pool.Config{Workers: 1})
	stuck := make(chan struct{})
	defer close(stuck)
	_ = p.Go(context.Background(), func(context.Context) error { <-stuck; return nil }) // ignores its context
	_ = p.Go(context.Background(), func(context.Context) error { return nil })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var left *pool.CloseError
	if errors.As(p.Close(ctx), &left) {
		for _, task := range left.Tasks {
			fmt.Println(task.State) // a waiting one can be run here, by its Do
		}
	}
	// Output:
	// running
	// waiting
}

// A pitfall: work that should outlive the request must not be attached to it.
func ExampleSubmit_outlives() {
	p, _ := pool.New(pool.Config{Workers: 1})
	_ = p.Go(context.Background(), func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil })
	ctx, cancel := context.WithCancel(context.Background()) // as of a request
	f := pool.Submit(ctx, p, func(context.Context) (string, error) { return "sent", nil })
	cancel() // the handler has returned
	_, err := f.Wait(context.Background())
	fmt.Println(err)
	_ = p.Close(context.Background())
	// Output: context canceled
}

// A task is seen as one by its context alone. Under another one Wait does not know that it has
// the only worker, and waits until that context ends.
func ExampleFuture_Wait_foreignContext() {
	p, err := pool.New(pool.Config{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	inner := func(context.Context) (string, error) { return "helped", nil }
	outer := pool.Submit(context.Background(), p, func(ctx context.Context) (string, error) {
		foreign, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, err := pool.Submit(foreign, p, inner).Wait(foreign)
		fmt.Println("under a foreign context:", err)
		return pool.Submit(ctx, p, inner).Wait(ctx)
	})
	v, _ := outer.Wait(context.Background())
	fmt.Println("under its own:", v)
	_ = p.Close(context.Background())
	// Output:
	// under a foreign context: context deadline exceeded
	// under its own: helped
}
