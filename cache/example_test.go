package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/ristrettostore"
)

func ExampleNew() {
	type user struct{ Name string }
	users, err := cache.New(cache.Config[int, user]{
		Load: func(ctx context.Context, id int) (user, error) {
			fmt.Println("asking the database for", id)
			return user{Name: fmt.Sprint("user ", id)}, nil
		},
		TTL: time.Minute,
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for range 3 {
		u, err := users.Get(ctx, 7)
		fmt.Println(u.Name, err)
	}
	fmt.Println("hits:", users.Stats().Hits)
	// Output:
	// asking the database for 7
	// user 7 <nil>
	// user 7 <nil>
	// user 7 <nil>
	// hits: 2
}

// What is missing is loaded by one call.
func ExampleCache_GetMany() {
	prices, err := cache.New(cache.Config[string, int]{
		LoadMany: func(ctx context.Context, ids []string) (map[string]int, error) {
			slices.Sort(ids)
			fmt.Println("SELECT ... WHERE id IN", ids)
			return map[string]int{"lamp": 5, "chair": 40}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_, _ = prices.Get(ctx, "lamp")
	got, err := prices.GetMany(ctx, []string{"lamp", "chair", "unicorn"})
	fmt.Println(got, err)
	// Output:
	// SELECT ... WHERE id IN [lamp]
	// SELECT ... WHERE id IN [chair unicorn]
	// map[chair:40 lamp:5] <nil>
}

// A page knows what it was made of, and a change of one part takes all pages that show it.
func ExampleAddTags() {
	makers := map[string]string{"lamp": "Ada"}
	pages, err := cache.New(cache.Config[string, string]{
		Load: func(ctx context.Context, product string) (string, error) {
			maker := makers[product]
			cache.AddTags(ctx, "product:"+product, "maker:"+maker)
			return product + " by " + maker, nil
		},
		TTL: -1, // for ever: the tags say when it ends
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	before, _ := pages.Get(ctx, "lamp")

	makers["lamp"] = "Grace" // first the source ...
	pages.PurgeTags("maker:Ada")
	after, _ := pages.Get(ctx, "lamp") // ... then the cache
	fmt.Println(before)
	fmt.Println(after)
	// Output:
	// lamp by Ada
	// lamp by Grace
}

// An answer that is only half complete is kept for a short time only.
func ExampleSetTTL() {
	weather, err := cache.New(cache.Config[string, string]{
		Load: func(ctx context.Context, city string) (string, error) {
			cache.SetTTL(ctx, 5*time.Second)
			return "sunny, wind unknown", nil
		},
		TTL: time.Hour,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(weather.Get(context.Background(), "Bern"))
	// Output: sunny, wind unknown <nil>
}

// "There is no such thing" is an answer, and can be remembered.
func ExampleErrNotFound() {
	asked := 0
	users, err := cache.New(cache.Config[int, string]{
		Load: func(ctx context.Context, id int) (string, error) {
			asked++
			return "", fmt.Errorf("user %d: %w", id, cache.ErrNotFound)
		},
		NegativeTTL: 10 * time.Second,
	})
	if err != nil {
		panic(err)
	}
	for range 3 {
		_, err = users.Get(context.Background(), 404)
	}
	fmt.Println(err, errors.Is(err, cache.ErrNotFound), asked)
	// Output: user 404: hotpath: not found true 1
}

// While the source is down the last good answer serves.
func ExampleConfig_staleIfError() {
	down := false
	rates, err := cache.New(cache.Config[string, float64]{
		Load: func(ctx context.Context, currency string) (float64, error) {
			if down {
				return 0, errors.New("the bank does not answer")
			}
			return 0.93, nil
		},
		TTL:          time.Millisecond,
		StaleIfError: time.Hour,
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_, _ = rates.Get(ctx, "CHF")
	time.Sleep(2 * time.Millisecond)
	down = true
	fmt.Println(rates.Get(ctx, "CHF"))
	// Output: 0.93 <nil>
}

// Everybody gets the same value: who changes it changes it for all. Clone prevents that.
func ExampleCache_Get_pitfall() {
	load := func(context.Context, string) ([]string, error) { return strings.Fields("red green"), nil }
	shared, _ := cache.New(cache.Config[string, []string]{Load: load})
	cloned, _ := cache.New(cache.Config[string, []string]{Load: load, Clone: slices.Clone[[]string]})

	ctx := context.Background()
	for _, colours := range []*cache.Cache[string, []string]{shared, cloned} {
		mine, _ := colours.Get(ctx, "x")
		mine[0] = "spoilt"
		yours, _ := colours.Get(ctx, "x")
		fmt.Println(yours)
	}
	// Output:
	// [spoilt green]
	// [red green]
}

// The same cache on dgraph-io/ristretto: only Store and Close are added.
func ExampleStore() {
	store, err := ristrettostore.New[int, string](ristrettostore.Config{MaxBytes: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(context.Background()) // ristretto has goroutines

	names, err := cache.New(cache.Config[int, string]{
		Load:  func(ctx context.Context, id int) (string, error) { return fmt.Sprintf("user %d", id), nil },
		Store: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	name, err := names.Get(context.Background(), 7)
	if err != nil {
		log.Fatal(err)
	}
	names.Set(7, "Ada") // seen by every Get from here on, which ristretto alone does not promise
	now, _ := names.Peek(7)
	fmt.Println(name, "is now", now)
	// Output: user 7 is now Ada
}
