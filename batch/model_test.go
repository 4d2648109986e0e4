package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/batch"
)

// A watched source answers key k with 10k; multiples of 7 are missing, of 11 fail, and a fetch with a
// multiple of 101 panics. It says when a key is fetched twice at a time, or too many keys are.
type watched struct {
	t       *testing.T
	maxKeys int
	once    bool // no key may be fetched twice at a time

	mu  sync.Mutex
	now map[[2]any]int
}

var errOdd = errors.New("odd")

func (w *watched) fetch(ctx context.Context, keys []int) (map[int]int, error) {
	scope := ctx.Value(ctxKey{})
	if len(keys) == 0 || len(keys) > w.maxKeys {
		w.t.Errorf("a fetch of %d keys", len(keys))
	}
	mark := func(by int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, k := range keys {
			if w.now[[2]any{scope, k}] += by; w.now[[2]any{scope, k}] > 1 && w.once {
				w.t.Errorf("key %d is fetched twice at a time in a scope", k)
			}
		}
	}
	mark(1)
	keys = slices.Clone(keys)
	defer mark(-1)
	time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	m, failed := map[int]int{}, batch.Errors[int]{}
	for _, k := range keys {
		switch {
		case k%101 == 0 && k > 0:
			panic(k)
		case k%11 == 0:
			failed[k] = errOdd
		case k%7 != 0:
			m[k] = 10 * k
		}
	}
	if len(failed) > 0 {
		return m, fmt.Errorf("some: %w", failed)
	}
	return m, nil
}

// checkTwin compares with what a twin would say that fetches each key alone.
func checkTwin(t *testing.T, key, v int, err error, cancelled bool) {
	var p *batch.PanicError
	switch {
	case cancelled && errors.Is(err, context.Canceled):
	case errors.As(err, &p): // its own key, or that of another in its batch
	case key%11 == 0:
		if !errors.Is(err, errOdd) {
			t.Errorf("key %d: %d, %v, want odd", key, v, err)
		}
	case key%7 == 0:
		if !errors.Is(err, batch.ErrNotFound) {
			t.Errorf("key %d: %d, %v, want not found", key, v, err)
		}
	case v != 10*key || err != nil:
		t.Errorf("key %d: %d, %v", key, v, err)
	}
}

// Random programs of everything there is against a twin that fetches each key alone.
func TestModel_RandomPrograms(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		// Whoever forgets a key in flight, or is the last to leave it, lets it be fetched anew: in some
		// programs nobody does.
		scoped, patient := seed%3 != 0, seed%3 == 1
		w := &watched{t: t, maxKeys: 1 + rnd.IntN(20), once: patient, now: map[[2]any]int{}}
		l := newLoader(t, batch.LoaderConfig[int, int]{
			Fetch: w.fetch, MaxKeys: w.maxKeys, MaxConcurrent: 1 + rnd.IntN(4), MaxMemo: rnd.IntN(30), MaxWait: time.Duration(rnd.IntN(3)-1) * 100 * time.Microsecond,
		})
		var wg sync.WaitGroup
		for caller := range 4 {
			ctx := context.WithValue(t.Context(), ctxKey{}, caller)
			if scoped {
				ctx = batch.WithScope(ctx)
			}
			wg.Go(func() {
				program(t, ctx, l, rand.New(rand.NewPCG(seed, uint64(caller))), scoped, patient, 3)
				if scoped {
					_ = batch.Wait(ctx)
				}
			})
		}
		wg.Wait()
		if n := l.Stats().InFlight; n != 0 && patient {
			t.Errorf("seed %d: %d fetches in flight", seed, n)
		}
	}
}

func program(t *testing.T, ctx context.Context, l *batch.Loader[int, int], rnd *rand.Rand, scoped, patient bool, deep int) {
	for range 10 + rnd.IntN(20) {
		key := rnd.IntN(60)
		if rnd.IntN(50) == 0 {
			key = 101
		}
		switch rnd.IntN(8) {
		case 0, 1:
			v, err := l.Load(ctx, key)
			checkTwin(t, key, v, err, false)
		case 2:
			keys := make([]int, rnd.IntN(30))
			for i := range keys {
				keys[i] = rnd.IntN(60)
			}
			values, err := l.LoadAll(ctx, keys)
			var failed batch.Errors[int]
			_ = errors.As(err, &failed)
			for i, k := range keys {
				checkTwin(t, k, values[i], failed[k], false)
			}
		case 3:
			wait := l.Defer(ctx, key)
			if rnd.IntN(2) == 0 {
				v, err := l.Load(ctx, key+1)
				checkTwin(t, key+1, v, err, false)
			}
			v, err := wait()
			checkTwin(t, key, v, err, false)
		case 4:
			if key%7 != 0 && key%11 != 0 {
				l.Prime(ctx, key, 10*key)
			}
		case 5:
			if !patient {
				l.Forget(ctx, key)
			}
		case 6:
			if patient {
				continue
			}
			c, cancel := context.WithCancel(ctx)
			stop := time.AfterFunc(time.Duration(rnd.IntN(300))*time.Microsecond, cancel)
			v, err := l.Load(c, key)
			checkTwin(t, key, v, err, true)
			stop.Stop()
			cancel()
		case 7:
			if scoped && deep > 0 {
				seed := rnd.Uint64()
				batch.Go(ctx, func(ctx context.Context) error {
					program(t, ctx, l, rand.New(rand.NewPCG(seed, 1)), scoped, patient, deep-1)
					return nil
				})
				if rnd.IntN(2) == 0 {
					_ = batch.Wait(ctx)
				}
			}
		}
	}
}
