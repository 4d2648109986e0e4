package statstest_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/stat"
	"github.com/hotpath-go/hotpath/internal/statstest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// failures is a testing.TB that keeps what it is told.
type failures struct {
	testing.TB
	said []string
}

func (f *failures) Helper() {}
func (f *failures) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *failures) Error(args ...any) { f.said = append(f.said, fmt.Sprint(args...)) }
func (f *failures) Fatal(args ...any) { f.Error(args...); runtime.Goexit() }

func check[S any](stats func() S) (said []string, series map[string]float64) {
	f := &failures{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		series = statstest.Check(f, stats)
	}()
	<-done
	return f.said, series
}

func TestCheck_ReturnsTheSeries(t *testing.T) {
	type stats struct {
		Hits  uint64            `metric:"hotpath_test_requests_total,outcome=hit" help:"."`
		Bytes int64             `metric:"hotpath_test_bytes" help:"."`
		Took  stat.Histogram    `metric:"hotpath_test_seconds" help:"."`
		Why   map[string]uint64 `metric:"hotpath_test_skipped_total" label:"reason" help:"."`
		Skip  int               `metric:"-"`
	}
	said, got := check(func() stats { return stats{Hits: 1, Bytes: 2, Why: map[string]uint64{"size": 3}} })
	if len(said) > 0 {
		t.Errorf("said %q", said)
	}
	want := map[string]float64{
		`hotpath_test_requests_total{outcome="hit"}`: 1,
		"hotpath_test_bytes":                         2,
		"hotpath_test_seconds_count":                 0,
		"hotpath_test_seconds_sum":                   0,
		`hotpath_test_skipped_total{reason="size"}`:  3,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestCheck_Fails(t *testing.T) {
	type badTag struct {
		Hits uint64 `metric:"hotpath_test_hits_total"`
	}
	type foreign struct {
		Hits uint64 `metric:"test_hits_total" help:"."`
	}
	type forgotten struct {
		Hits   uint64 `metric:"hotpath_test_hits_total" help:"."`
		Misses uint64
	}
	type inside struct {
		Parts map[string]forgotten `label:"part"`
	}
	for _, tc := range []struct {
		said []string
		want string
	}{
		{first(check(func() (s badTag) { return })), `badTag.Hits: "hotpath_test_hits_total" has no tag help`},
		{first(check(func() (s foreign) { return })), "test_hits_total does not begin with hotpath_"},
		{first(check(func() (s forgotten) { return })), `statstest_test.forgotten.Misses has no tag`},
		{first(check(func() (s inside) { return })), `statstest_test.forgotten.Misses has no tag`},
	} {
		if !slices.ContainsFunc(tc.said, func(s string) bool { return strings.Contains(s, tc.want) }) {
			t.Errorf("said %q, want %s", tc.said, tc.want)
		}
	}
}

func first(said []string, _ map[string]float64) []string { return said }
