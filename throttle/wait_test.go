package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// W1: first come, first served; Takes are refused meanwhile.
func TestW1_Order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Policies: []throttle.Policy{
			{Name: "a", Rate: throttle.Per(1, time.Second)}, {Name: "b", Rate: throttle.Per(10, time.Second)},
		}})
		key := throttle.KeyOf("k")
		start := time.Now()
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if err := l.Wait(t.Context(), key, 1); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, fmt.Sprint(i, "@", time.Since(start)))
			})
			synctest.Wait()
			if l.Take(t.Context(), key, 1).Allowed {
				t.Error("a Take overtakes")
			}
		}
		if got := l.Stats().Waiting; got != 4 {
			t.Errorf("%d wait, want 4", got)
		}
		wg.Wait()
		if !slices.Equal(order, []string{"0@0s", "1@1s", "2@2s", "3@3s", "4@4s"}) {
			t.Errorf("order %v", order)
		}
		if got := l.Stats().Waiting; got != 0 {
			t.Errorf("%d wait, want 0", got)
		}
	})
}

// W2: what is refused without waiting.
func TestW2_RefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Minute), MaxWaiting: 3})
		key := throttle.KeyOf("k")
		start := time.Now()
		if err := l.Wait(t.Context(), key, 1); err != nil {
			t.Fatal(err)
		}
		before := l.Peek(t.Context(), key, 1)
		for _, tc := range []struct {
			name string
			n    int64
			in   time.Duration
			is   error
		}{
			{"at the deadline", 1, time.Minute, context.DeadlineExceeded},
			{"after it", 1, time.Second, context.DeadlineExceeded},
			{"over, already", 1, 0, context.DeadlineExceeded},
			{"more than Burst", 2, time.Hour, nil},
			{"negative", -1, time.Hour, nil},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), tc.in)
			err := l.Wait(ctx, key, tc.n)
			cancel()
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) || tc.is == nil && errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Wait(canceled, throttle.KeyOf("new"), 1); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if after := l.Peek(t.Context(), key, 1); fmt.Sprint(after) != fmt.Sprint(before) || time.Since(start) != 0 {
			t.Errorf("refusals changed something: %+v, %+v", before, after)
		}
		// 1 ns later is in time.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+1)
		defer cancel()
		if err := l.Wait(ctx, key, 1); err != nil || time.Since(start) != time.Minute {
			t.Errorf("just in time: %v after %v", err, time.Since(start))
		}

		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = l.Wait(ctx, key, 1) })
			synctest.Wait()
		}
		if err := l.Wait(t.Context(), key, 1); err == nil {
			t.Error("a fourth waits beside MaxWaiting 3")
		}
		if err := l.Wait(t.Context(), throttle.KeyOf("other"), 1); err != nil {
			t.Errorf("what need not wait: %v", err)
		}
		leave()
		wg.Wait()

		slow := mustNew(t, throttle.Config{Rate: throttle.Per(1, 61*time.Minute)})
		_ = slow.Wait(t.Context(), key, 1)
		start = time.Now()
		if err := slow.Wait(t.Context(), key, 1); err == nil || time.Since(start) > 0 {
			t.Errorf("due in 61 minutes: %v after %v", err, time.Since(start))
		}
		time.Sleep(time.Minute)
		if err := slow.Wait(t.Context(), key, 1); err != nil || time.Since(start) != 61*time.Minute {
			t.Errorf("due in an hour: %v after %v", err, time.Since(start))
		}
	})
}

// W3: who leaves gives back what nobody reserved behind; else two would pass at one moment.
func TestW3_Cancel(t *testing.T) {
	for leaves := range 4 {
		synctest.Test(t, func(t *testing.T) {
			l := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Second)})
			key := throttle.KeyOf("k")
			start := time.Now()
			_ = l.Wait(t.Context(), key, 1)
			var mu sync.Mutex
			var passed []time.Duration
			var wg sync.WaitGroup
			wait := func(ctx context.Context) {
				wg.Go(func() {
					if l.Wait(ctx, key, 1) == nil {
						mu.Lock()
						defer mu.Unlock()
						passed = append(passed, time.Since(start))
					}
				})
				synctest.Wait()
			}
			ctx, cancel := context.WithCancel(t.Context())
			for i := range 4 {
				if i == leaves {
					wait(ctx)
				} else {
					wait(t.Context())
				}
			}
			time.Sleep(time.Second / 2)
			cancel()
			synctest.Wait()
			wait(t.Context()) // comes last
			wg.Wait()
			// Nobody passes with another, and the last one gets the place that was given back.
			want := []time.Duration{1, 2, 3, 4, 5}
			if leaves == 3 {
				want = want[:4]
			} else {
				want = slices.Delete(want, leaves, leaves+1)
			}
			for i := range want {
				want[i] *= time.Second
			}
			if !slices.Equal(passed, want) {
				t.Errorf("number %d leaves: passed at %v, want %v", leaves, passed, want)
			}
		})
	}
}
