package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/metrics"
)

type values struct {
	N     int               `metric:"app_n" help:"."`
	F     float64           `metric:"app_f_total" help:"."`
	Up    bool              `metric:"app_up" help:"."`
	Wait  time.Duration     `metric:"app_wait_seconds" help:"."`
	Last  time.Time         `metric:"app_last_timestamp_seconds" help:"."`
	Never time.Time         `metric:"app_never_timestamp_seconds" help:"."`
	Took  metrics.Histogram `metric:"app_took_seconds" help:"."`
	Codes map[string]uint8  `metric:"app_codes_total" label:"code" help:"."`
}

func TestM15_KeysThatBecomeOneAreAddedUp(t *testing.T) {
	var d metrics.Durations
	d.Observe(time.Second)
	d.Observe(2 * time.Second)
	moment := time.Unix(1_700_000_000, 0)
	type stats struct {
		Plain  map[string]uint64 `metric:"app_plain_total" label:"key" help:"."`
		Routes map[string]values `label:"route"`
	}
	long := strings.Repeat("x", 128)
	reg := registered(t, always(stats{
		Plain: map[string]uint64{long: 1, long + "a": 2, long + "b": 4, "short": 8},
		Routes: map[string]values{
			// A clean key meets two that are not.
			"\uFFFD": {N: 1, F: 0.25, Wait: time.Second, Took: d.Read(), Codes: map[string]uint8{"2xx": 1, "5xx": 2}},
			"\xff":   {N: 2, F: 0.5, Up: true, Wait: time.Minute, Last: moment.Add(-time.Hour), Took: d.Read(), Codes: map[string]uint8{"2xx": 4, "\xfe": 8}},
			"\xfe":   {N: 4, Last: moment, Codes: map[string]uint8{"\uFFFD": 16}},
			"/":      {N: 8},
		},
	}))
	want := map[string]float64{
		`app_plain_total{key="` + long + `",name="x"}`:   7,
		`app_plain_total{key="short",name="x"}`:          8,
		`app_n{name="x",route="�"}`:                      7,
		`app_f_total{name="x",route="�"}`:                0.75,
		`app_up{name="x",route="�"}`:                     1,
		`app_wait_seconds{name="x",route="�"}`:           61,
		`app_last_timestamp_seconds{name="x",route="�"}`: 1_700_000_000,
		`app_took_seconds_count{name="x",route="�"}`:     4,
		`app_took_seconds_sum{name="x",route="�"}`:       6,
		`app_codes_total{code="2xx",name="x",route="�"}`: 5,
		`app_codes_total{code="5xx",name="x",route="�"}`: 2,
		`app_codes_total{code="�",name="x",route="�"}`:   24,
		`app_n{name="x",route="/"}`:                      8,
		`app_f_total{name="x",route="/"}`:                0,
		`app_up{name="x",route="/"}`:                     0,
		`app_wait_seconds{name="x",route="/"}`:           0,
		`app_took_seconds_count{name="x",route="/"}`:     0,
		`app_took_seconds_sum{name="x",route="/"}`:       0,
	}
	for range 3 { // the second scrape remembers the first
		expect(t, gather(t, reg), want)
	}
}

// Maps change between scrapes: keys come and go, clean ones and others.
func TestM15_KeysComeAndGo(t *testing.T) {
	type stats struct {
		Keys map[string]int            `metric:"app_keys" label:"key" help:"."`
		Deep map[string]map[string]int // without a tag
	}
	var now map[string]int
	reg := registered(t, func() stats { return stats{Keys: now} })
	for i, step := range []struct{ keys, want map[string]int }{
		{nil, nil},
		{map[string]int{"a": 1, "b": 2}, map[string]int{"a": 1, "b": 2}},
		{map[string]int{"b": 3, "c": 4}, map[string]int{"b": 3, "c": 4}},
		{map[string]int{"b": 3, "\xff": 4, "\xfe": 5}, map[string]int{"b": 3, "\uFFFD": 9}},
		{map[string]int{"\uFFFD": 1, "a": 1}, map[string]int{"\uFFFD": 1, "a": 1}},
		{map[string]int{}, nil},
		{map[string]int{"a": 7}, map[string]int{"a": 7}},
	} {
		now = step.keys
		want := map[string]float64{}
		for key, v := range step.want {
			want[`app_keys{key="`+key+`",name="x"}`] = float64(v)
		}
		got := gather(t, reg)
		expect(t, got, want)
		if t.Failed() {
			t.Fatalf("step %d", i)
		}
	}
}

// Floats are added up in a fixed order: else the sum of numbers that stand still would go down
// by a bit from one scrape to the next.
func TestM15_SumsOfFloatsStandStill(t *testing.T) {
	type stats struct {
		Saved map[string]float64 `metric:"app_saved_seconds_total" label:"key" help:"."`
	}
	keys := map[string]float64{}
	for i := range 40 {
		keys[strings.Repeat("k", 128)+strings.Repeat("-", i)] = 1 / float64(3+i)
	}
	reg := registered(t, always(stats{keys}))
	first := gather(t, reg)
	if len(first) != 1 {
		t.Fatalf("%d series, want 1", len(first))
	}
	for range 50 {
		expect(t, gather(t, reg), first)
	}
}

// Which of the merged values is true does not depend on its place.
func TestM15_BoolsThatMerge(t *testing.T) {
	type stats struct {
		Up map[string]bool `metric:"app_up" label:"key" help:"."`
	}
	for _, ups := range [][]bool{{true, false, false}, {false, true, false}, {false, false, true}, {true, true, true}, {false, false, false}} {
		keys, want := map[string]bool{}, 0.0
		for i, up := range ups { // they are read in the order of their keys
			keys[string([]byte{byte(0xf0 + i)})] = up
			if up {
				want = 1
			}
		}
		expect(t, gather(t, registered(t, always(stats{keys}))), map[string]float64{`app_up{key="�",name="x"}`: want})
	}
}

// Maps in maps: what is below keys that become one is added up there too, and each keeps its labels.
func TestM15_MapsBelowMergedKeys(t *testing.T) {
	type below struct {
		N map[string]int `metric:"app_n" label:"b" help:"."`
	}
	type stats struct {
		A map[string]struct {
			B map[string]below `label:"c"`
		} `label:"a"`
	}
	type middle = struct {
		B map[string]below `label:"c"`
	}
	now := map[string]middle{
		"\xff": {B: map[string]below{"1": {map[string]int{"x": 1, "y": 2}}, "2": {map[string]int{"x": 4}}}},
		"\xfe": {B: map[string]below{"1": {map[string]int{"x": 8, "z": 16}}}},
		"k":    {B: map[string]below{"1": {map[string]int{"x": 32}}, "\xff": {map[string]int{"\xfe": 64}}}},
	}
	reg := registered(t, func() stats { return stats{now} })
	want := map[string]float64{
		`app_n{a="�",b="x",c="1",name="x"}`: 9,
		`app_n{a="�",b="y",c="1",name="x"}`: 2,
		`app_n{a="�",b="z",c="1",name="x"}`: 16,
		`app_n{a="�",b="x",c="2",name="x"}`: 4,
		`app_n{a="k",b="x",c="1",name="x"}`: 32,
		`app_n{a="k",b="�",c="�",name="x"}`: 64,
	}
	for range 2 {
		expect(t, gather(t, reg), want)
	}
	now = map[string]middle{"k": {B: map[string]below{"1": {map[string]int{"x": 1, "new": 2}}, "2": {}}}, "new": {B: map[string]below{"1": {map[string]int{"x": 3}}}}}
	want = map[string]float64{
		`app_n{a="k",b="x",c="1",name="x"}`:   1,
		`app_n{a="k",b="new",c="1",name="x"}`: 2,
		`app_n{a="new",b="x",c="1",name="x"}`: 3,
	}
	for range 2 {
		expect(t, gather(t, reg), want)
	}
}
