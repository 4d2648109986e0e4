package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// The twin is the cache as one would explain it: a map, a clock, and a slow walk for tags. It
// knows nothing of flights, shards, generations or bounds.
type twin struct {
	now     time.Duration
	entries map[string]*twinEntry
	source  func(key string) (int, error)
	loads   int
}

type twinEntry struct {
	value   int
	missing bool
	ttl     time.Duration // the end of its TTL
	expires time.Duration // the same, or when its tag was expired last
	tags    []string
	fails   int
	retry   time.Duration
}

const (
	twinTTL      = 10 * time.Second
	twinSWR      = 5 * time.Second
	twinSIE      = 60 * time.Second
	twinNegative = 4 * time.Second
)

// tagOf is the tag of a key; a few keys share one.
func tagOf(key string) string { return "tag" + string('0'+(key[0]-'a')%3) }

func (w *twin) load(key string) error {
	w.loads++
	v, err := w.source(key)
	switch {
	case errors.Is(err, cache.ErrNotFound):
		w.entries[key] = &twinEntry{missing: true, expires: w.now + twinNegative}
	case err == nil:
		w.entries[key] = &twinEntry{value: v, ttl: w.now + twinTTL, expires: w.now + twinTTL, tags: []string{tagOf(key)}}
	default:
		if e := w.entries[key]; e != nil && !e.missing {
			e.retry = w.now + min(time.Second<<e.fails, 30*time.Second)
			e.fails++
		}
	}
	return err
}

func (w *twin) get(key string) (int, error) {
	e := w.entries[key]
	if e != nil {
		age := w.now - e.expires
		switch {
		case age < 0 && e.missing:
			return 0, cache.ErrNotFound
		case age < 0:
			return e.value, nil
		case e.missing:
		case age < twinSWR:
			old := e.value
			if w.now >= e.retry {
				_ = w.load(key)
			}
			return old, nil
		case age < twinSIE && w.now < e.retry:
			return e.value, nil
		}
	}
	switch err := w.load(key); {
	case err == nil:
		return w.entries[key].value, nil
	case !errors.Is(err, cache.ErrNotFound) && e != nil && !e.missing && w.now-e.expires < twinSIE:
		return e.value, nil
	default:
		return 0, err
	}
}

func (w *twin) each(tag string, f func(key string, e *twinEntry)) {
	for key, e := range w.entries {
		if slices.Contains(e.tags, tag) {
			f(key, e)
		}
	}
}

// runProgram lets cache and twin do the same, two bytes a step, and compares every answer.
func runProgram(t *testing.T, script []byte) {
	synctest.Test(t, func(t *testing.T) {
		version, down := 0, false
		source := func(key string) (int, error) {
			switch {
			case down:
				return 0, errDown
			case key == "d" && version%2 == 0:
				return 0, cache.ErrNotFound
			}
			return version, nil
		}
		loads := 0
		cfg := cache.Config[string, int]{
			Load: func(ctx context.Context, key string) (int, error) {
				loads++
				v, err := source(key)
				if err == nil {
					cache.AddTags(ctx, tagOf(key))
				}
				return v, err
			},
			TTL: twinTTL, StaleWhileRevalidate: twinSWR, StaleIfError: twinSIE, NegativeTTL: twinNegative, Logger: new(logbook).logger(),
		}
		if !*onRistretto {
			cfg.MaxBytes = 1 << 40 // many slots: two of three tags share one once in 350,000 runs
		}
		c := newCache(t, cfg)
		w := &twin{entries: map[string]*twinEntry{}, source: source}

		var steps []string
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			key := string('a' + arg%5)
			step := ""
			switch op % 10 {
			case 0, 1, 2, 3:
				got, err := c.Get(t.Context(), key)
				synctest.Wait() // the refresh behind, if there is one
				want, wantErr := w.get(key)
				step = fmt.Sprintf("Get(%s) = %d, %v", key, got, err)
				if got != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
					t.Fatalf("after %v: %s, the twin says %d, %v", steps, step, want, wantErr)
				}
			case 4:
				version++
				c.Set(key, -version, tagOf(key))
				w.entries[key] = &twinEntry{value: -version, ttl: w.now + twinTTL, expires: w.now + twinTTL, tags: []string{tagOf(key)}}
				step = fmt.Sprintf("Set(%s, %d)", key, -version)
			case 5:
				c.Delete(key)
				delete(w.entries, key)
				step = "Delete(" + key + ")"
			case 6:
				tag := tagOf(key)
				if arg >= 250 {
					c.PurgeAll()
					clear(w.entries)
					step = "PurgeAll()"
					break
				}
				c.PurgeTags(tag)
				w.each(tag, func(key string, _ *twinEntry) { delete(w.entries, key) })
				step = "PurgeTags(" + tag + ")"
			case 7:
				tag := tagOf(key)
				c.ExpireTags(tag)
				w.each(tag, func(_ string, e *twinEntry) { e.expires = min(e.ttl, w.now) })
				step = "ExpireTags(" + tag + ")"
			case 8:
				d := time.Duration(arg) * time.Second / 8
				time.Sleep(d)
				w.now += d
				step = fmt.Sprintf("Sleep(%v)", d)
			case 9:
				version++
				down = arg%3 == 0
				step = fmt.Sprintf("version %d, down %v", version, down)
			}
			steps = append(steps, step)
		}
		if loads != w.loads {
			t.Fatalf("after %v: %d loads, the twin needed %d", steps, loads, w.loads)
		}
	})
}

func TestTwin(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 400)
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		runProgram(t, script)
	}
}

func FuzzTwin(f *testing.F) {
	f.Add([]byte{0, 0, 8, 80, 9, 3, 0, 0, 6, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) <= 200 {
			runProgram(t, script)
		}
	})
}
