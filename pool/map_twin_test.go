package pool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

type elemErr int

func (e elemErr) Error() string { return fmt.Sprintf("element %d", int(e)) }

type twin struct {
	p       *pool.Pool
	workers int32
	at      atomic.Int32
	over    atomic.Bool // more than Workers
}

func (w *twin) enter() {
	if w.at.Add(1) > w.workers {
		w.over.Store(true)
	}
}
func (w *twin) leave() { w.at.Add(-1) }

func twinNap(r uint64) {
	switch r % 4 {
	case 0:
		runtime.Gosched()
	case 1:
		time.Sleep(time.Duration(r%50) * time.Microsecond)
	}
}

// oneMap runs a Map and checks it against what is known; depth > 0: elements call Map themselves.
func (w *twin) oneMap(ctx context.Context, cancel context.CancelCauseFunc, seed uint64, depth int, disturbed *atomic.Bool, inside bool) error {
	rnd := rand.New(rand.NewPCG(seed, uint64(depth)))
	n := rnd.IntN(20)
	if depth > 0 {
		n = rnd.IntN(4)
	}
	in := make([]int, n)
	kind := make([]int, n)
	nap := make([]uint64, n)
	sub := make([]uint64, n)
	for i := range in {
		in[i], nap[i], sub[i] = i, rnd.Uint64(), rnd.Uint64()
		if rnd.IntN(30) == 0 {
			kind[i] = 1 + rnd.IntN(4) // error, panic, goexit (outside only), cancel
		}
	}
	if rnd.IntN(3) == 0 {
		clear(kind)
	}
	calls := make([]atomic.Int32, n)
	ends := make([]atomic.Int32, n)
	errs := make([]error, n)
	var bad atomic.Pointer[error]
	if inside { // its slot is lent to its elements
		w.leave()
		defer w.enter()
	}
	out, err := pool.Map(ctx, w.p, in, func(c context.Context, i int) (r int, e error) {
		calls[i].Add(1)
		defer ends[i].Add(1)
		defer func() { errs[i] = e }()
		w.enter()
		defer w.leave()
		twinNap(nap[i])
		if depth > 0 {
			if e := w.oneMap(c, cancel, sub[i], depth-1, disturbed, true); e != nil {
				bad.Store(&e)
			}
		}
		switch kind[i] {
		case 1:
			return 0, elemErr(i)
		case 2:
			e = &pool.PanicError{}
			panic(elemErr(i))
		case 3:
			if !inside {
				e = &pool.PanicError{}
				runtime.Goexit()
			}
		case 4:
			disturbed.Store(true)
			cancel(errDown)
		}
		return i*7 + 1, nil
	})
	if b := bad.Load(); b != nil {
		return *b
	}
	if len(out) != n {
		return fmt.Errorf("%d results of %d, %v", len(out), n, err)
	}
	first := error(nil)
	firstKind := 0
	all := true
	for i := range in {
		c := calls[i].Load()
		switch {
		case c > 1:
			return fmt.Errorf("element %d called %d times", i, c)
		case c != ends[i].Load():
			return fmt.Errorf("element %d still runs", i)
		case c == 0:
			all = false
			if out[i] != 0 {
				return fmt.Errorf("element %d was not called, result %d", i, out[i])
			}
		case errs[i] != nil:
			if first == nil {
				first, firstKind = errs[i], kind[i]
			}
		case out[i] != i*7+1:
			return fmt.Errorf("element %d: %d", i, out[i])
		}
	}
	var pe *pool.PanicError
	if first == nil && err != nil && inside && ctx.Err() != nil { // by a sibling of the element that called this Map
		return nil
	}
	switch {
	case first != nil && firstKind == 1 && err != first:
		return fmt.Errorf("error %v, want %v", err, first)
	case first != nil && firstKind > 1 && !errors.As(err, &pe):
		return fmt.Errorf("error %v, want a panic", err)
	case first == nil && err == nil && !all:
		return fmt.Errorf("no error, not all called")
	case first == nil && err != nil && all && n > 0:
		return fmt.Errorf("all were called: %v", err)
	case first == nil && err != nil && !disturbed.Load():
		return fmt.Errorf("undisturbed: %v", err)
	case first == nil && err != nil && !errors.Is(err, errDown) && !errors.Is(err, pool.ErrClosed) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("disturbed: %v", err)
	}
	return nil
}

func oneTwin(seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 99))
	w := &twin{workers: int32(1 + rnd.IntN(4))}
	cfg := pool.Config{Workers: int(w.workers), Queue: []int{-1, 1, 2, 100}[rnd.IntN(4)]}
	if rnd.IntN(4) == 0 {
		cfg.TaskTimeout = time.Hour
	}
	p, err := pool.New(cfg)
	if err != nil {
		return err
	}
	w.p = p
	var disturbed atomic.Bool
	var accepted, ran atomic.Int64
	var wg sync.WaitGroup
	problems := make(chan error, 100)
	// tasks beside
	for range rnd.IntN(3) {
		wg.Add(1)
		nap := rnd.Uint64()
		k := rnd.IntN(30)
		go func() {
			defer wg.Done()
			for range k {
				if p.Go(context.Background(), func(context.Context) error {
					w.enter()
					defer w.leave()
					ran.Add(1)
					twinNap(nap)
					return nil
				}) == nil {
					accepted.Add(1)
				}
			}
		}()
	}
	closeEarly := rnd.IntN(3) == 0
	cutEarly := closeEarly && rnd.IntN(2) == 0
	if closeEarly {
		disturbed.Store(true)
	}
	var maps sync.WaitGroup
	for range 1 + rnd.IntN(3) {
		maps.Add(1)
		s, depth, inTask := rnd.Uint64(), rnd.IntN(3), rnd.IntN(3) == 0
		cancelAt, mayCancel := rnd.Uint64(), rnd.IntN(4) == 0
		go func() {
			defer maps.Done()
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			d := &atomic.Bool{}
			d.Store(closeEarly || mayCancel)
			if mayCancel {
				go func() { twinNap(cancelAt); time.Sleep(time.Duration(cancelAt%300) * time.Microsecond); cancel(errDown) }()
			}
			if inTask {
				f := pool.Submit(ctx, p, func(c context.Context) (int, error) {
					w.enter()
					defer w.leave()
					return 0, w.oneMap(c, cancel, s, depth, d, true)
				})
				if _, err := f.Wait(context.Background()); err != nil && !d.Load() {
					problems <- err
				} else if err != nil && !errors.Is(err, errDown) && !errors.Is(err, pool.ErrClosed) && !errors.Is(err, context.Canceled) {
					problems <- err
				}
				return
			}
			if err := w.oneMap(ctx, cancel, s, depth, d, false); err != nil {
				problems <- err
			}
		}()
	}
	if closeEarly {
		twinNap(rnd.Uint64())
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Microsecond)
	} else {
		maps.Wait()
		wg.Wait()
	}
	cctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if cutEarly {
		go func() { time.Sleep(time.Duration(rnd.IntN(100)) * time.Microsecond); cancel() }()
	}
	cerr := p.Close(cctx)
	maps.Wait()
	wg.Wait()
	close(problems)
	for err := range problems {
		return err
	}
	if w.over.Load() {
		return errors.New("more than Workers")
	}
	if !closeEarly && cerr != nil {
		return cerr
	}
	var ce *pool.CloseError
	waiting, running := int64(0), int64(0)
	if errors.As(cerr, &ce) {
		for _, t := range ce.Tasks {
			if t.State == "waiting" && t.Do != nil {
				waiting++
			}
			if t.State == "running" {
				running++ // may not have come to count itself
			}
		}
	}
	if d := accepted.Load() - waiting - ran.Load(); d < 0 || d > running {
		return fmt.Errorf("accepted %d, ran %d, named %d (%v)", accepted.Load(), ran.Load(), waiting, cerr)
	}
	if s := p.Stats(); s.Waiting != 0 || s.Blocked != 0 {
		return fmt.Errorf("left: %+v", s)
	}
	return nil
}

// Random Maps, in each other, beside tasks, cancelled, cut and closed: what each promises, of every one.
func TestP10_Map_Twin(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		done := make(chan error, 1)
		go func() { done <- oneTwin(uint64(seed)) }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		case <-time.After(time.Minute):
			buf := make([]byte, 1<<20)
			t.Fatalf("seed %d hangs\n%s", seed, buf[:runtime.Stack(buf, true)])
		}
	}
}
