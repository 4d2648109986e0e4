package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/hotpath-go/hotpath/metrics"
)

// A stats function that panics fails the scrape with a word about it: it is called on a goroutine of the
// registry, where it would end the process. The others are still there, and so is it the next time.
func TestM3_AStatsThatPanics(t *testing.T) {
	type stats struct {
		N int `metric:"app_n" help:"."`
	}
	var none *stats
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.Collector("good", always(stats{7})), metrics.Collector("bad", func() stats { return *none }))
	families, err := reg.Gather()
	if err == nil || !strings.Contains(err.Error(), `metrics: Collector("bad"): stats panicked: runtime error: invalid memory address`) {
		t.Errorf("Gather says %v", err)
	}
	if len(families) != 1 || len(families[0].Metric) != 1 || families[0].Metric[0].GetGauge().GetValue() != 7 {
		t.Errorf("of the other there is %v", families)
	}
	none = &stats{8}
	expect(t, gather(t, reg), map[string]float64{`app_n{name="good"}`: 7, `app_n{name="bad"}`: 8})
}

// Structs in structs in structs, with maps between them: siblings share what leads to them, and none writes
// into what another stands on.
func TestM2_DeepStats(t *testing.T) {
	type leaf struct {
		A, B int `metric:"-"`
		N    int `metric:"app_n" help:"."`
		M    int `metric:"app_other" help:"."`
	}
	type third struct {
		P   int  `metric:"app_p" help:"."`
		Q   int  `metric:"app_q" help:"."`
		One leaf `metric:",d=one"`
		Two leaf `metric:",d=two"`
	}
	type second struct {
		Pad, Pod int
		Left     third `metric:",z=left"`
		Right    third `metric:",z=right"`
	}
	type first struct {
		Up   second `metric:",b=up"`
		Down second `metric:",b=down"`
	}
	type stats struct {
		X first `metric:",a=x"`
		Y first `metric:",a=y"`
	}
	n, s, want := 0, stats{}, map[string]float64{}
	for _, x := range []struct {
		at   *first
		name string
	}{{&s.X, "x"}, {&s.Y, "y"}} {
		for _, y := range []struct {
			at   *second
			name string
		}{{&x.at.Up, "up"}, {&x.at.Down, "down"}} {
			for _, z := range []struct {
				at   *third
				name string
			}{{&y.at.Left, "left"}, {&y.at.Right, "right"}} {
				n++
				z.at.P, z.at.Q = n, 100+n
				labels := fmt.Sprintf(`{a=%q,b=%q,name="x",z=%q}`, x.name, y.name, z.name)
				want["app_p"+labels], want["app_q"+labels] = float64(n), float64(100+n)
				for _, l := range []struct {
					at   *leaf
					name string
				}{{&z.at.One, "one"}, {&z.at.Two, "two"}} {
					n++
					l.at.N, l.at.M = n, 100+n
					labels := fmt.Sprintf(`{a=%q,b=%q,d=%q,name="x",z=%q}`, x.name, y.name, l.name, z.name)
					want["app_n"+labels], want["app_other"+labels] = float64(n), float64(100+n)
				}
			}
		}
	}
	expect(t, gather(t, registered(t, always(s))), want)
}

// Four maps deep, each key is the label of its own map.
func TestM2_DeepMaps(t *testing.T) {
	type four struct {
		N map[string]int `metric:"app_n" label:"d" help:"."`
	}
	type three struct {
		C map[string]four `label:"c"`
	}
	type two struct {
		B map[string]three `label:"b"`
	}
	type stats struct {
		A map[string]two `label:"a"`
	}
	n, s, want := 0, stats{map[string]two{}}, map[string]float64{}
	keys := []string{"one", "two", "three"}
	for _, a := range keys {
		s.A[a] = two{map[string]three{}}
		for _, b := range keys {
			s.A[a].B[b] = three{map[string]four{}}
			for _, c := range keys {
				s.A[a].B[b].C[c] = four{map[string]int{}}
				for _, d := range keys {
					n++
					s.A[a].B[b].C[c].N[d] = n
					want[fmt.Sprintf(`app_n{a=%q,b=%q,c=%q,d=%q,name="x"}`, a, b, c, d)] = float64(n)
				}
			}
		}
	}
	reg := registered(t, always(s))
	for range 2 { // the second remembers the labels of the first
		expect(t, gather(t, reg), want)
	}
}

// The labels of a key are made once, also where keys become one, and hold nothing of what the key was a piece of.
func TestM3_LabelsAreRemembered(t *testing.T) {
	type stats struct {
		N map[string]int `metric:"app_n" label:"key" help:"."`
	}
	for _, key := range []string{"clean", "\xff"} {
		large := key + strings.Repeat("x", 1000)
		c := metrics.Collector("x", always(stats{map[string]int{large[:len(key)]: 1}}))
		labels := func() *dto.LabelPair {
			ch, m := make(chan prometheus.Metric, 1), new(dto.Metric)
			c.Collect(ch)
			if err := (<-ch).Write(m); err != nil {
				t.Fatal(err)
			}
			return m.Label[0]
		}
		first := labels()
		if labels() != first {
			t.Errorf("%q: the second scrape makes them anew", key)
		}
		if unsafe.StringData(*first.Value) == unsafe.StringData(large) {
			t.Errorf("%q: the label is a piece of something large", key)
		}
	}
}
