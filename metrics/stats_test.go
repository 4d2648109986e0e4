package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

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
		One leaf `metric:",d=one"`
		Two leaf `metric:",d=two"`
	}
	type second struct {
		Pad, Pod int
		Left     third `metric:",c=left"`
		Right    third `metric:",c=right"`
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
				for _, l := range []struct {
					at   *leaf
					name string
				}{{&z.at.One, "one"}, {&z.at.Two, "two"}} {
					n++
					l.at.N, l.at.M = n, 100+n
					labels := fmt.Sprintf(`{a=%q,b=%q,c=%q,d=%q,name="x"}`, x.name, y.name, z.name, l.name)
					want["app_n"+labels], want["app_other"+labels] = float64(n), float64(100+n)
				}
			}
		}
	}
	expect(t, gather(t, registered(t, always(s))), want)
}
