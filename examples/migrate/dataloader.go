package migrate

import (
	"context"

	"github.com/graph-gophers/dataloader/v7"

	"github.com/hotpath-go/hotpath/batch"
)

type fetchUsers func(ctx context.Context, ids []int) (map[int]user, error)

func dataloaderOld(fetch fetchUsers) func(context.Context, int) (user, error) {
	// old:dataloader
	loader := dataloader.NewBatchedLoader(func(ctx context.Context, ids []int) []*dataloader.Result[user] {
		found, err := fetch(ctx, ids)
		results := make([]*dataloader.Result[user], len(ids))
		for i, id := range ids { // in the order of ids, one for each
			results[i] = &dataloader.Result[user]{Data: found[id], Error: err}
		}
		return results
	}) // one for each request: it remembers, for everybody
	return func(ctx context.Context, id int) (user, error) { return loader.Load(ctx, id)() }
	// end
}

func dataloaderNew(fetch fetchUsers) (func(context.Context, int) (user, error), error) {
	// new:dataloader
	loader, err := batch.NewLoader(batch.LoaderConfig[int, user]{Fetch: fetch}) // one for the process
	if err != nil {
		return nil, err
	}
	return loader.Load, nil
	// end
}
