package rediscache

import (
	"math"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const anyAge = time.Duration(math.MaxInt64) // what cache asks for if it has nothing of a key

// invalidated hears, on the goroutine that reads the connection, which keys have changed, or are not
// watched any more; nil: all, or the connection is gone.
func (t *Tier[K, V]) invalidated(names []rueidis.RedisMessage) {
	if names == nil {
		t.trusted.Store(false)
		t.up.Store(false) // until a ping has shown that there is a connection
		t.gap()
		t.pingNow()
		return
	}
	var keys []K
	var tags []string
	for _, m := range names {
		name, err := m.ToString()
		if err != nil {
			continue
		}
		name, ours := strings.CutPrefix(name, t.base)
		if !ours || len(name) < 2 {
			continue
		}
		kind, rest := name[:2], name[2:]
		switch kind {
		case "t:":
			if rest == "" {
				t.counters.invalidations.Add(1)
				t.dropped(nil, nil, true)
				continue
			}
			tags = append(tags, rest)
		case "v:", "l:":
			_, text, _ := strings.Cut(rest, ":") // behind the version
			if kind == "l:" {
				t.waiters.wake(text)
				continue
			}
			if key, err := textKey[K](text); err == nil {
				keys = append(keys, key)
			}
		}
	}
	if len(keys)+len(tags) > 0 {
		t.counters.invalidations.Add(uint64(len(keys) + len(tags)))
		t.dropped(keys, tags, false)
	}
}

// waiters is who waits for the leases of others.
type waiters struct {
	mu sync.Mutex
	m  map[string]*waiting
}

// A waiting is what this process has under way for a key.
type waiting struct {
	fetches int
	woken   chan struct{} // closed when the lease has changed
}

// enter is called before the trip of a Fetch: what happens to the lease after that wakes it.
func (w *waiters) enter(key string) (woken <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.m[key]
	if x == nil {
		if w.m == nil {
			w.m = make(map[string]*waiting)
		}
		x = &waiting{woken: make(chan struct{})}
		w.m[key] = x
	}
	x.fetches++
	return x.woken
}

// leave ends what enter began.
func (w *waiters) leave(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.m[key]
	if x.fetches--; x.fetches == 0 {
		delete(w.m, key)
	}
}

func (w *waiters) wake(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.m[key]; x != nil {
		x.wake()
	}
}

func (w *waiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.m {
		x.wake()
	}
}

func (x *waiting) wake() {
	close(x.woken)
	x.woken = make(chan struct{})
}
