package partial_test

import (
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/statstest"
	"github.com/hotpath-go/hotpath/partial"
)

func TestNew_ReportsEveryProblem(t *testing.T) {
	_, err := partial.New(partial.Config{MaxLength: -1, MaxDepth: 300, MaxNames: -2, Buffer: 2 << 20})
	if err == nil {
		t.Fatal("no error for four bad fields")
	}
	for _, want := range []string{
		"partial: MaxLength is -1: must be at least 1 (0 means 4096)", "partial: MaxDepth is 300: must be 1 to 255 (0 means 32)",
		"partial: MaxNames is -2: must be 1 to 65536 (0 means 256)", "partial: Buffer is 2097152: must be 1 to 1048576 (0 means 32768)",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
}

func TestNew_Limits(t *testing.T) {
	cfg := partial.Config{MaxLength: 5, MaxDepth: 2, MaxNames: 3}
	for text, want := range map[string]string{"a,b,c": "a,b,c", "a,b,cc": "refused", "a/b": "a/b", "a/b/c": "refused", "a(b,c": "refused", "a/b,c": "a/b,c"} {
		if got := masked(t, cfg, "GET", "/?fields="+text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := masked(t, partial.Config{MaxNames: 2}, "GET", "/?fields=a(b,c)"); got != "refused" {
		t.Errorf("three names of two: %s", got)
	}
}

func TestStats_CanBeExported(t *testing.T) {
	f := mustNew(t, partial.Config{})
	h := f.Handler(serve(0, asJSON, whole))
	do(h, "GET", "/?fields=a")
	do(h, "GET", "/")
	do(h, "GET", "/?fields=,")
	got := statstest.Check(t, f.Stats)
	for series, want := range map[string]float64{
		`hotpath_partial_requests_total{outcome="filtered"}`: 1,
		`hotpath_partial_requests_total{outcome="plain"}`:    1,
		`hotpath_partial_requests_total{outcome="refused"}`:  1,
		`hotpath_partial_requests_total{outcome="broken"}`:   0,
		`hotpath_partial_in_bytes_total{}`:                   float64(len(whole)),
		`hotpath_partial_out_bytes_total{}`:                  float64(len(cut)),
	} {
		v, there := got[series]
		if !there {
			v, there = got[strings.TrimSuffix(series, "{}")]
		}
		if !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
}
