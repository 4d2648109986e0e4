package migrate

import (
	"context"
	"log"
	"runtime"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"

	"github.com/hotpath-go/hotpath/pool"
)

type mail func(context.Context) error

func antsOld(ctx context.Context, mails []mail) error {
	// old:ants
	workers, err := ants.NewPool(8)
	if err != nil {
		return err
	}
	for _, send := range mails {
		if err := workers.Submit(func() { _ = send(ctx) }); err != nil {
			return err
		}
	}
	return workers.ReleaseTimeout(10 * time.Second) // ErrTimeout: something still ran, and nobody says what
	// end
}

func pondOld(ctx context.Context, mails []mail) error {
	// old:pond
	workers := pond.NewPool(8, pond.WithContext(ctx), pond.WithQueueSize(1024))
	for _, send := range mails {
		workers.SubmitErr(func() error { return send(ctx) })
	}
	workers.StopAndWait() // for as long as it takes
	return nil
	// end
}

func poolNew(ctx context.Context, mails []mail) error {
	// new:pool
	workers, err := pool.New(pool.Config{Workers: 8, Queue: 1024})
	if err != nil {
		return err
	}
	for _, send := range mails {
		if err := workers.Go(ctx, send); err != nil { // ctx ended before there was room, or ErrClosed
			log.Print(err)
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // also when ctx has ended
	defer cancel()
	return workers.Close(end) // a *CloseError names what did not run to its end
	// end
}

func errgroupNew(ctx context.Context, ids []int, fetch func(context.Context, int) (user, error)) ([]user, error) {
	// new:map
	workers, err := pool.New(pool.Config{Workers: runtime.GOMAXPROCS(0)})
	if err != nil {
		return nil, err
	}
	defer workers.Close(ctx)
	return pool.Map(ctx, workers, ids, fetch) // in the order of ids; the first error ends the rest
	// end
}
