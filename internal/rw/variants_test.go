package rw_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
)

func half(dst []byte) ([]byte, error) { return append(dst, text[:len(text)/2]...), nil }

func TestVariants_IsMeansTheSameMemory(t *testing.T) {
	body := bytes.Repeat([]byte("ab"), 50)
	v := rw.NewVariants(body, nil)
	if !v.Is(body) || v.Is(bytes.Clone(body)) || v.Is(body[1:]) || v.Is(body[:3]) || v.Is(nil) {
		t.Error("Is must be true for the body's own slice and nothing else")
	}
	if rw.NewVariants(nil, nil).Is(nil) {
		t.Error("no body is nothing to recognise")
	}
}

func TestVariants_MakeEncodesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := rw.NewVariants([]byte(text), nil)
		var encodes atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				f, err := v.Make(t.Context(), "gzip", "~gzip", func(dst []byte) ([]byte, error) {
					encodes.Add(1)
					time.Sleep(time.Millisecond)
					return half(dst)
				})
				if err != nil || string(f.Bytes) != text[:len(text)/2] || f.Length != strconv.Itoa(len(text)/2) {
					t.Errorf("%v, %v", f, err)
				}
			})
		}
		wg.Wait()
		if encodes.Load() != 1 || v.Form("gzip") == nil || v.Form("br") != nil {
			t.Errorf("%d encodes, kept %v", encodes.Load(), v.Form("gzip") != nil)
		}
	})
}

func TestVariants_WaitersDoNotOutliveTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := rw.NewVariants([]byte(text), nil)
		go v.Make(context.Background(), "gzip", "", func(dst []byte) ([]byte, error) {
			time.Sleep(time.Hour)
			return half(dst)
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := v.Make(ctx, "gzip", "", half); err != context.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.Sleep(time.Hour)
	})
}

func TestVariants_AFailureIsForAllAndNotForEver(t *testing.T) {
	for name, encode := range map[string]func([]byte) ([]byte, error){
		"error": func([]byte) ([]byte, error) { return nil, errors.New("no") },
		"panic": func([]byte) ([]byte, error) { panic("no") },
	} {
		v := rw.NewVariants([]byte(text), nil)
		if f, err := v.Make(t.Context(), "gzip", "", encode); err == nil || f != nil || !strings.Contains(err.Error(), "no") {
			t.Errorf("%s: %v, %v", name, f, err)
		}
		if _, err := v.Make(t.Context(), "gzip", "", half); err != nil {
			t.Errorf("%s: the slot does not work again: %v", name, err)
		}
	}
	v := rw.NewVariants([]byte(text), nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		v.Make(t.Context(), "gzip", "", func([]byte) ([]byte, error) { runtime.Goexit(); return nil, nil })
	})
	wg.Wait()
	if _, err := v.Make(t.Context(), "gzip", "", half); err != nil {
		t.Errorf("after Goexit: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		v := rw.NewVariants([]byte(text), nil)
		go v.Make(t.Context(), "gzip", "", func([]byte) ([]byte, error) {
			time.Sleep(time.Second)
			runtime.Goexit()
			return nil, nil
		})
		synctest.Wait()
		if f, err := v.Make(t.Context(), "gzip", "", half); f != nil || err == nil {
			t.Errorf("who waited for it: %v, %v, want an error", f, err)
		}
	})
}

func TestVariants_KeepsWhatIsReservedAndGivesItBack(t *testing.T) {
	var used int64
	limit := int64(1_000)
	v := rw.NewVariants([]byte(text), func(delta int64) bool {
		if used+delta > limit {
			return false
		}
		used += delta
		return true
	})
	roomy := func(dst []byte) ([]byte, error) { return append(make([]byte, 0, 800), 'x'), nil }
	if f, err := v.Make(t.Context(), "gzip", "", roomy); err != nil || f == nil || v.Form("gzip") == nil || used < 800 {
		t.Fatalf("%v, %v, used %d: all that is allocated counts", f, err, used)
	}
	if f, err := v.Make(t.Context(), "br", "", roomy); err != nil || f == nil || v.Form("br") != nil {
		t.Errorf("no room: %v, %v: want it served and not kept", f, err)
	}
	v.Release()
	if used != 0 {
		t.Errorf("%d bytes are still reserved after Release", used)
	}
	if f, err := v.Make(t.Context(), "zstd", "", half); err != nil || f == nil || v.Form("zstd") != nil || used != 0 {
		t.Errorf("after Release: %v, %v, used %d", f, err, used)
	}
}

func TestVariants_RemembersThatAFormIsNotSmaller(t *testing.T) {
	v := rw.NewVariants([]byte("x"), nil)
	f, err := v.Make(t.Context(), "gzip", "", func(dst []byte) ([]byte, error) { return append(dst, "larger"...), nil })
	if err != nil || f.Bytes != nil || v.Form("gzip") != f {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestForm_ETag(t *testing.T) {
	f := &rw.Form{Suffix: "~gzip"}
	for plain, want := range map[string]string{
		`"v1"`: `"v1~gzip"`, `W/"v1"`: `W/"v1~gzip"`, `""`: `"~gzip"`,
		``: ``, `v1`: `v1`, `"`: `"`, `W/"`: `W/"`, `"v1`: `"v1`,
	} {
		for range 2 {
			if got := f.ETag(plain); got != want {
				t.Errorf("ETag(%s) = %s, want %s", plain, got, want)
			}
		}
	}
}

type offerer struct {
	observer
	takes bool
	got   *rw.Variants
}

func (o *offerer) Offer(v *rw.Variants) bool {
	if o.takes {
		o.got = v
	}
	return o.takes
}

func TestOffer_EndsAtTheFirstWhoTakesIt(t *testing.T) {
	outer, middle, inner := &offerer{takes: true}, &offerer{takes: true}, &offerer{}
	outer.Wrap(httptest.NewRecorder(), nil)
	middle.Wrap(outer, nil)
	inner.Wrap(middle, nil)
	v := rw.NewVariants([]byte(text), nil)
	if !rw.Offer(inner, v) || middle.got != v || outer.got != nil {
		t.Errorf("middle got it: %v, outer got it: %v", middle.got == v, outer.got == v)
	}
	if rw.Offer(httptest.NewRecorder(), v) {
		t.Error("nobody there, and somebody took it")
	}
}
