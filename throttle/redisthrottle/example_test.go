package redisthrottle_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/throttle"
	"github.com/hotpath-go/hotpath/throttle/redisthrottle"
)

// Two processes share a limit. Without a Remote each of them would let 3 in.
func ExampleNew() {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}, DisableCache: true})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	store, err := redisthrottle.New(redisthrottle.Config{Client: client, Secret: []byte("the same everywhere")})
	if err != nil {
		log.Fatal(err)
	}
	node := func() *throttle.Limiter {
		l, err := throttle.New(throttle.Config{Rate: throttle.Per(3, time.Hour), Remote: store, Nodes: 2})
		if err != nil {
			log.Fatal(err)
		}
		return l
	}
	one, two := node(), node()
	ctx, key := context.Background(), throttle.KeyOf("alice")
	for range 2 {
		fmt.Println(one.Take(ctx, key, 1).Allowed, two.Take(ctx, key, 1).Allowed)
	}
}

// Pitfall: without Nodes each process admits the whole Burst while the server is down. Three
// processes then admit three times the limit.
func ExampleNew_nodes() {
	for _, nodes := range []int{1, 3} {
		admitted := 0
		for range 3 { // processes
			l, err := throttle.New(throttle.Config{Rate: throttle.Per(30, time.Hour), Remote: dead{}, Nodes: nodes, Logger: quiet()})
			if err != nil {
				log.Fatal(err)
			}
			for range 100 {
				if l.Take(context.Background(), throttle.KeyOf("alice"), 1).Allowed {
					admitted++
				}
			}
		}
		fmt.Println("Nodes:", nodes, "admitted:", admitted)
	}
	// Output:
	// Nodes: 1 admitted: 90
	// Nodes: 3 admitted: 30
}

// dead is a server that nobody can reach.
type dead struct{}

func (dead) Take(context.Context, []throttle.Op) error { return errors.New("connection refused") }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
