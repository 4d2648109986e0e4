package rediscache

import (
	"math"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const anyAge = time.Duration(math.MaxInt64) // what cache asks for if it has nothing of a key

// invalidated hears, on the goroutine that reads the connection, which keys others have changed;
// nil: all, or the connection is gone.
func (t *Tier[K, V]) invalidated(names []rueidis.RedisMessage) {
	if names == nil {
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
			} else if key, err := textKey[K](text); err == nil && t.waiters.concerns(text) {
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
	users   int           // Fetches
	reading int           // of them, those whose trip is under way
	known   bool          // the cache may have something of the key
	woken   chan struct{} // closed when the lease has changed
}

// enter begins the trip of a Fetch; known: the cache has something of the key.
func (w *waiters) enter(key string, known bool) (woken <-chan struct{}) {
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
	x.users++
	x.reading++
	x.known = x.known || known
	return x.woken
}

// pause says that the trip is over, and that its Fetch waits.
func (w *waiters) pause(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.m[key].reading--
}

// leave ends what enter began, and pause has not; known: with something for the cache.
func (w *waiters) leave(key string, paused, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.m[key]
	if !paused {
		x.reading--
	}
	x.known = x.known || known
	if x.users--; x.users == 0 {
		delete(w.m, key)
	}
}

// knows says that the cache may now have something of key.
func (w *waiters) knows(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.m[key]; x != nil {
		x.known = true
	}
}

// concerns reports whether the cache must hear that the value of key has changed. It need not if all
// who asked wait for just that: else every fill would take away the flights that wait for it.
func (w *waiters) concerns(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.m[key]
	return x == nil || x.known || x.reading > 0
}

func (w *waiters) wake(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.m[key]; x != nil {
		close(x.woken)
		x.woken = make(chan struct{})
	}
}

func (w *waiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.m {
		close(x.woken)
		x.woken = make(chan struct{})
	}
}
