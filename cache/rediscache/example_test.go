package rediscache_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

type product struct {
	Name  string
	Price int
}

// It compiles, and is not run, for it needs a Redis.
func ExampleNew() {
	tier, err := rediscache.New[int64](rediscache.Config[product]{
		Client:  rueidis.ClientOption{InitAddress: []string{"redis:6379"}},
		Prefix:  "shop:products",
		Version: "2", // of the encoding of product
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tier.Close(context.Background())
	products, err := cache.New(cache.Config[int64, product]{
		Load: func(_ context.Context, id int64) (product, error) {
			return product{Name: fmt.Sprint("product ", id), Price: 100}, nil
		},
		TTL:    time.Minute,
		Remote: tier,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(products.Get(context.Background(), 7)) // from memory, from Redis, or loaded once for all
}

// Who must know that nobody has the old value any more uses Remove: Delete has no error.
func ExampleTier_Remove() {
	tier, err := rediscache.New[string](rediscache.Config[string]{
		Client: rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}, ForceSingleClient: true}, // nobody is there
		Prefix: "shop:permissions",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tier.Close(context.Background())
	permissions, err := cache.New(cache.Config[string, string]{Remote: tier, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	permissions.Delete("ann") // gone here; the others are told when Redis is there again
	if err := tier.Remove(context.Background(), "ann"); err != nil {
		fmt.Println("somebody may still have it: answer 503, so that the change is tried again")
	}
	// Output: somebody may still have it: answer 503, so that the change is tried again
}
