package metrics_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/hotpath-go/hotpath/metrics"
)

type part struct {
	Read    uint64        `metric:"app_read_bytes_total" help:"Bytes read."`
	Pending time.Duration `metric:"app_pending_seconds" help:"Time until the next read."`
}

type policy struct {
	Refused uint64            `metric:"app_refused_total,kind=hard" help:"Refused."`
	Reasons map[string]int    `metric:"app_reasons" label:"reason" help:"Why."`
	Times   map[string]during `label:"phase"`
}

type during struct {
	Took metrics.Histogram `metric:"app_phase_seconds" help:"Time of a phase."`
}

type embedded struct {
	Inner int8              `metric:"app_inner" help:"Of an embedded struct."`
	Depth metrics.Histogram `metric:"app_depth" help:"Read in place, though the type of the struct is private."`
}

// Level is a named number.
type Level uint16

type every struct {
	embedded
	Hits     uint64            `metric:"app_lookups_total,outcome=hit" help:"Lookups."`
	Misses   int               `metric:"app_lookups_total,outcome=miss"`
	Ratio    float32           `metric:"app_ratio" help:"A float."`
	Level    Level             `metric:"app_level" help:"A named number."`
	Up       bool              `metric:"app_up" help:"A bool."`
	Took     time.Duration     `metric:"app_took_seconds_total" help:"A duration that only grows."`
	Started  time.Time         `metric:"app_started_timestamp_seconds" help:"A moment."`
	Never    time.Time         `metric:"app_ended_timestamp_seconds" help:"A moment that has not come."`
	Sizes    metrics.Histogram `metric:"app_size_bytes" help:"A histogram."`
	Skipped  map[string]uint64 `metric:"app_skipped_total" label:"reason" help:"A map."`
	Disk     part              `metric:",medium=disk"`
	Net      part              `metric:",medium=net"`
	Policies map[string]policy `label:"policy"`
	Named    map[Level2]bool   `metric:"app_named" label:"key" help:"A map with named keys."`

	Untagged, Hidden int // not exported
	Off              int `metric:"-"`
	untagged         int
	Other            struct{ X int } // not exported, for it is not embedded
}

// Level2 is a named key.
type Level2 string

func TestM1_EveryFormOfATag(t *testing.T) {
	var sizes metrics.Sizes
	sizes.Observe(3)
	sizes.Observe(300)
	var took metrics.Durations
	took.Observe(time.Second)
	reg := registered(t, always(every{
		embedded: embedded{-4, sizes.Read()},
		Hits:     1 << 40, Misses: 2, Ratio: 0.5, Level: 7, Up: true,
		Took:    1500 * time.Millisecond,
		Started: time.Unix(1_700_000_000, 500_000_000),
		Sizes:   sizes.Read(),
		Skipped: map[string]uint64{"small": 3, "type": 0},
		Disk:    part{10, time.Minute}, Net: part{20, 0},
		Policies: map[string]policy{
			"free": {1, map[string]int{"rate": 2}, map[string]during{"wait": {took.Read()}}},
			"paid": {},
		},
		Named:    map[Level2]bool{"on": true, "off": false},
		Untagged: 1, Hidden: 2, Off: 3, untagged: 4,
	}))
	expect(t, gather(t, reg), map[string]float64{
		`app_depth_count{name="x"}`:                                    2,
		`app_depth_sum{name="x"}`:                                      303,
		`app_inner{name="x"}`:                                          -4,
		`app_lookups_total{name="x",outcome="hit"}`:                    1 << 40,
		`app_lookups_total{name="x",outcome="miss"}`:                   2,
		`app_ratio{name="x"}`:                                          0.5,
		`app_level{name="x"}`:                                          7,
		`app_up{name="x"}`:                                             1,
		`app_took_seconds_total{name="x"}`:                             1.5,
		`app_started_timestamp_seconds{name="x"}`:                      1_700_000_000.5,
		`app_size_bytes_count{name="x"}`:                               2,
		`app_size_bytes_sum{name="x"}`:                                 303,
		`app_skipped_total{name="x",reason="small"}`:                   3,
		`app_skipped_total{name="x",reason="type"}`:                    0,
		`app_read_bytes_total{medium="disk",name="x"}`:                 10,
		`app_read_bytes_total{medium="net",name="x"}`:                  20,
		`app_pending_seconds{medium="disk",name="x"}`:                  60,
		`app_pending_seconds{medium="net",name="x"}`:                   0,
		`app_refused_total{kind="hard",name="x",policy="free"}`:        1,
		`app_refused_total{kind="hard",name="x",policy="paid"}`:        0,
		`app_reasons{name="x",policy="free",reason="rate"}`:            2,
		`app_phase_seconds_count{name="x",phase="wait",policy="free"}`: 1,
		`app_phase_seconds_sum{name="x",phase="wait",policy="free"}`:   1,
		`app_named{key="on",name="x"}`:                                 1,
		`app_named{key="off",name="x"}`:                                0,
	})
}

type endless struct {
	N    int                `metric:"app_n" help:"."`
	Kids map[string]endless `label:"kid"`
}

// field makes a struct of fields F0, F1 ... with these types and tags.
func field(typesAndTags ...any) (fields []reflect.StructField) {
	for i := 0; i < len(typesAndTags); i += 2 {
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprint("F", i/2),
			Type: reflect.TypeOf(typesAndTags[i]),
			Tag:  reflect.StructTag(typesAndTags[i+1].(string)),
		})
	}
	return fields
}

func TestM1_EveryMistake(t *testing.T) {
	const h = ` help:"."`
	for _, tc := range []struct {
		why    string
		fields []reflect.StructField
		want   string // after the name of the field
	}{
		{"counter of a histogram", field(metrics.Histogram{}, `metric:"hotpath_cache_hits_total"`+h), `"hotpath_cache_hits_total" has a histogram value: counters end in _total, histograms do not`},
		{"counter of a bool", field(true, `metric:"a_total"`+h), `"a_total" has a value that is no count: counters end in _total, bool and time.Time are gauges`},
		{"counter of a moment", field(time.Time{}, `metric:"a_seconds_total"`+h), `"a_seconds_total" has a value that is no count: counters end in _total, bool and time.Time are gauges`},
		{"moment without unit", field(time.Time{}, `metric:"a_start"`+h), `"a_start" has a time.Time value: exported in Unix seconds, its name must end in _seconds`},
		{"duration without unit", field(time.Second, `metric:"a_wait"`+h), `"a_wait" has a time.Duration value: exported in seconds, its name must end in _seconds or _seconds_total`},
		{"name with a dash", field(1, `metric:"a-b"`+h), `"a-b" is no metric name: must be lower-case letters, digits and _, beginning with a letter`},
		{"name in camel case", field(1, `metric:"aB"`+h), `"aB" is no metric name: must be lower-case letters, digits and _, beginning with a letter`},
		{"name that begins with _", field(1, `metric:"_a"`+h), `"_a" is no metric name: must be lower-case letters, digits and _, beginning with a letter`},
		{"wrong unit", field(1, `metric:"a_milliseconds"`+h), `"a_milliseconds" has the unit milliseconds: must be seconds`},
		{"wrong unit in the middle", field(1, `metric:"a_hours_used_total"`+h), `"a_hours_used_total" has the unit hours: must be seconds`},
		{"abbreviation", field(1, `metric:"a_ms"`+h), `"a_ms" has the abbreviation ms: units are written out`},
		{"type in the name", field(1, `metric:"a_gauge"`+h), `"a_gauge" has the word gauge: the type is no part of a name`},
		{"name of a histogram's series", field(1, `metric:"a_count"`+h), `"a_count" ends in _count: histograms have series of that name`},
		{"histogram with such a name", field(metrics.Histogram{}, `metric:"a_sum"`+h), `"a_sum" ends in _sum: histograms have series of that name`},
		{"label name", field(1, `metric:"a,B=c"`+h), `"B" is no label name: must be lower-case letters, digits and _, beginning with a letter`},
		{"label __", field(1, `metric:"a,__b=c"`+h), `"__b" is no label name: must be lower-case letters, digits and _, beginning with a letter`},
		{"label name", field(1, `metric:"a,name=c"`+h), `label "name" is reserved: name is set here, the others by Prometheus`},
		{"label le", field(map[string]int{}, `metric:"a" label:"le"`+h), `label "le" is reserved: name is set here, the others by Prometheus`},
		{"label quantile", field(1, `metric:"a,quantile=c"`+h), `label "quantile" is reserved: name is set here, the others by Prometheus`},
		{"label job", field(1, `metric:"a,job=c"`+h), `label "job" is reserved: name is set here, the others by Prometheus`},
		{"label instance", field(1, `metric:"a,instance=c"`+h), `label "instance" is reserved: name is set here, the others by Prometheus`},
		{"label twice", field(1, `metric:"a,b=c,b=d"`+h), `label "b" is given twice: by its tag, a struct or a map around it`},
		{"label of a struct again", field(part{}, `metric:",a=b,a=c"`), `label "a" is given twice: by its tag, a struct or a map around it`},
		{"label without value", field(1, `metric:"a,b"`+h), `label "b" has the value "": must be label=value with 1 to 128 bytes of UTF-8`},
		{"label value no UTF-8", field(1, "metric:\"a,b=\\xff\""+h), `label "b" has the value "\xff": must be label=value with 1 to 128 bytes of UTF-8`},
		{"label value too long", field(1, `metric:"a,b=`+strings.Repeat("v", 129)+`"`+h), `must be label=value with 1 to 128 bytes of UTF-8`},
		{"malformed tag", field(1, `metric: "a"`), "the tag `metric: \"a\"` is malformed: must be `metric:\"...\"`"},
		{"comma between tags", field(1, `json:"b",metric:"b_total" help:"B."`), `is malformed at the key ",metric": must be`},
		{"tab between tags", field(1, "json:\"b\"\tmetric:\"b_total\" help:\"B.\""), `is malformed: must be`},
		{"comma before help", field(1, `metric:"b_total",help:"B."`), `is malformed at the key ",help": must be`},
		{"key in the plural", field(1, `metrics:"b_total" help:"B."`), `is malformed at the key "metrics": must be`},
		{"single quotes", field(1, `metric:'b_total' help:"B."`), `is malformed: must be`},
		{"no end", field(1, `metric:"b_total`), `is malformed: must be`},
		{"no Go string", field(1, `metric:"b\q" help:"B."`), `is malformed at the key metric: must be`},
		{"a tag twice", field(1, `metric:"b_total" help:"B." metric:"c_total"`), `is malformed at the key metric: must be`},
		{"help alone", field(1, `help:"B."`), `has a tag help:"B." but no tag metric: must be metric:"name", or "-" to leave it out`},
		{"help of a struct", field(part{}, `metric:",a=b" help:"B."`), `has a tag help:"B." but is a struct: help stands at its fields`},
		{"family of a gauge", field(1, `metric:"shop_mails_total" help:"."`, 1, `metric:"shop_mails" help:"."`), `T.F0: "shop_mails_total" is of the family of "shop_mails", T.F1, to OpenMetrics: a family has one type`},
		{"family of a histogram", field(metrics.Histogram{}, `metric:"shop_mails" help:"."`, 1, `metric:"shop_mails_total" help:"."`), `T.F1: "shop_mails_total" is of the family of "shop_mails", T.F0, to OpenMetrics: a family has one type`},
		{"no name", field(1, `metric:",a=b"`+h), `has a value but no name: must be metric:"name"`},
		{"map without a name", field(map[string]int{}, `label:"b"`+h), `has a value but no name: must be metric:"name"`},
		{"map without a label", field(map[string]int{}, `metric:"a"`+h), `is a map without a tag label:"...": which label are its keys?`},
		{"map of other keys", field(map[int]int{}, `metric:"a" label:"b"`+h), `is a map with keys of type int: must be strings`},
		{"label but no map", field(1, `metric:"a" label:"b"`+h), `has a tag label:"b" but is no map: a fixed label is metric:"name,b=value"`},
		{"struct with a name", field(part{}, `metric:"a"`), `"a" has a value of type metrics_test.part: a struct has no name, only labels: metric:",label=value"`},
		{"slice", field([]int{}, `metric:"a"`+h), `"a" has a value of type []int: must be a number, bool, time.Duration, time.Time or Histogram, or a struct or map of them`},
		{"pointer", field(new(int), `metric:"a"`+h), `"a" has a value of type *int: must be a number`},
		{"string", field("", `metric:"a"`+h), `"a" has a value of type string: must be a number`},
		{"atomic", field(&atomic.Uint64{}, `metric:"a"`+h), `"a" has a value of type *atomic.Uint64: must be a number`},
		{"map of maps", field(map[string]map[string]int{}, `metric:"a" label:"b"`+h), `"a" has a value of type map[string]int: must be a number`},
		{"help that is no UTF-8", field(1, "metric:\"a\" help:\"\\xff\""), `"a" has the help "\xff": must be UTF-8`},
		{"no help", field(1, `metric:"a"`), `"a" has no tag help:"...": once per name is enough`},
		{"another help", field(1, `metric:"a,b=c" help:"x"`, 1, `metric:"a,b=d" help:"y"`), `"a" has another help than in T.F0: once per name is enough`},
		{"another type", field(1, `metric:"a,b=c" help:"x"`, metrics.Histogram{}, `metric:"a,b=d"`), `"a" is a number in one place and a histogram in another, T.F0: one metric has one type`},
		{"other labels", field(1, `metric:"a,b=c" help:"x"`, 1, `metric:"a,d=e"`), `"a" has the labels ["d"], but ["b"] in T.F0: one metric has one set of labels`},
		{"same series", field(1, `metric:"a,b=c" help:"x"`, 1, `metric:"a,b=c"`), `"a" makes the same series as T.F0: each needs a label value of its own`},
		{"maybe the same series", field(map[string]int{}, `metric:"a" label:"b" help:"x"`, 1, `metric:"a,b=c"`), `"a" makes the same series as T.F0: each needs a label value of its own`},
		{"two maps of one label", field(map[string]int{}, `metric:"a" label:"b" help:"x"`, map[string]int{}, `metric:"a" label:"b"`), `"a" makes the same series as T.F0: each needs a label value of its own`},
		{"without end", field(endless{}, `metric:",a=b"`), `.Kids: metrics_test.endless contains itself: its series have no end`},
		{"nothing at all", field(1, ``), `T: no field has a tag metric:"..."`},
	} {
		t.Run(tc.why, func(t *testing.T) {
			typ := reflect.StructOf(tc.fields)
			err := prometheus.NewRegistry().Register(metrics.CollectorOf("catalog", typ))
			if err == nil {
				t.Fatal("was registered")
			}
			got := strings.ReplaceAll(err.Error(), typ.String(), "T")
			if !strings.Contains(got, tc.want) || !strings.Contains(got, `metrics: Collector("catalog"): T`) {
				t.Errorf("%s\nwant: %s", got, tc.want)
			}
			// One mistake, one line.
			if n := strings.Count(got, "metrics: Collector("); n != 1 {
				t.Errorf("%d mistakes, want 1:\n%s", n, got)
			}
		})
	}
}

// Names are refused exactly where the linter warns: every unit, prefix and abbreviation.
func TestM1_NamesAreThoseOfTheLinter(t *testing.T) {
	prefixes := []string{"", "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mebi", "giga", "gibi", "tera", "tebi", "peta", "pebi", "exa"}
	units := strings.Fields("amperes bytes celsius grams joules kelvin kelvins meters metres seconds volts minutes hours days weeks " +
		"fahrenheit rankine inches yards miles bits calories pounds ounces entries")
	names := strings.Fields("app_x_s app_x_ms app_x_us app_x_ns app_x_sec app_x_b app_x_kb app_x_mb app_x_gb app_x_tb app_x_pb app_x_m app_x_h app_x_d " +
		"app_x_ms_y s_x ms_x app_secs app_mss app_gauge app_gauge_x gauge_x app_gauges app_x_bucket app_x_count app_x_sum app_bucket_x sum a1_b2")
	for _, prefix := range prefixes {
		for _, unit := range units {
			names = append(names, "app_"+prefix+unit, prefix+unit+"_x")
		}
	}
	for _, name := range names {
		kind, help := dto.MetricType_GAUGE, "."
		problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{{Name: &name, Help: &help, Type: &kind}}).Lint()
		if err != nil {
			t.Fatal(err)
		}
		typ := reflect.StructOf([]reflect.StructField{{Name: "F_" + name, Type: reflect.TypeFor[int](), Tag: reflect.StructTag(`metric:"` + name + `" help:"."`)}})
		mistake := prometheus.NewRegistry().Register(metrics.CollectorOf("x", typ))
		// Older linters do not know this prefix.
		mebi := strings.Contains(name, "mebi") && !strings.Contains(name, "entries")
		if (mistake != nil) != (len(problems) > 0 || mebi) {
			t.Errorf("%s: mistake %v, but the linter says %v", name, mistake, problems)
		}
	}
}

type unreadable struct {
	//lint:ignore U1000 that nobody can read it is the mistake
	n int `metric:"app_n" help:"."`
}

func TestM1_MistakesOfTheCall(t *testing.T) {
	for _, tc := range []struct {
		why  string
		c    prometheus.Collector
		want string
	}{
		{"no struct", metrics.Collector("x", func() int { return 0 }), `metrics: Collector("x"): int is no Stats: must be a struct`},
		{"pointer", metrics.Collector("x", func() *every { return nil }), `*metrics_test.every is no Stats: must be a struct`},
		{"interface", metrics.Collector("x", func() any { return nil }), `interface {} is no Stats: must be a struct`},
		{"histogram", metrics.Collector("x", func() (h metrics.Histogram) { return }), `stat.Histogram is no Stats: must be a struct`},
		{"no name", metrics.Collector("", always(every{})), `metrics: Collector(""): the name is empty: to Prometheus that is no label at all`},
		{"private field", metrics.Collector("x", always(unreadable{})), `metrics_test.unreadable.n: has a tag, but Go lets nobody read it: the field must begin with a capital letter`},
	} {
		t.Run(tc.why, func(t *testing.T) {
			err := prometheus.NewRegistry().Register(tc.c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v\nwant: %s", err, tc.want)
			}
		})
	}
}

func TestM1_AllMistakesAtOnce(t *testing.T) {
	type stats struct {
		Hits  metrics.Histogram `metric:"app_hits_total" help:"."`
		Bytes int               `metric:"app_kilobytes" help:"."`
		Inner struct {
			Wait time.Duration `metric:"app_wait"`
		} `metric:",le=1"`
	}
	c := metrics.Collector[stats]("", nil)
	err := prometheus.NewRegistry().Register(c)
	if err == nil {
		t.Fatal("was registered")
	}
	for _, want := range []string{
		`metrics: Collector(""): the name is empty`,
		`metrics: Collector(""): stats is nil`,
		`metrics: Collector(""): metrics_test.stats.Hits: "app_hits_total" has a histogram value`,
		`metrics: Collector(""): metrics_test.stats.Bytes: "app_kilobytes" has the unit kilobytes`,
		`metrics: Collector(""): metrics_test.stats.Inner.Wait: "app_wait" has a time.Duration`,
		`metrics: Collector(""): metrics_test.stats.Inner: label "le" is reserved`,
		`metrics: Collector(""): metrics_test.stats.Inner.Wait: "app_wait" has no tag help`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if n := strings.Count(err.Error(), "metrics: Collector("); n != 7 {
		t.Errorf("%d mistakes, want 7:\n%v", n, err)
	}
	// MustRegister panics with the same.
	defer func() {
		if got, _ := recover().(error); got == nil || got.Error() != err.Error() {
			t.Errorf("MustRegister panics with %v", got)
		}
	}()
	prometheus.NewRegistry().MustRegister(c)
}

// Collected without a registry, what is wrong still says so.
func TestM1_AMistakeNeverLooksLikeAnEmptyScrape(t *testing.T) {
	ch := make(chan prometheus.Metric, 1)
	metrics.Collector("x", func() int { return 0 }).Collect(ch)
	if err := (<-ch).Write(nil); err == nil || !strings.Contains(err.Error(), "int is no Stats") {
		t.Errorf("Write: %v", err)
	}
	var already prometheus.AlreadyRegisteredError
	reg := registered(t, always(every{}))
	if err := reg.Register(metrics.Collector("x", always(every{}))); !errors.As(err, &already) {
		t.Errorf("the same name twice: %v", err)
	}
}

// Whatever tags are accepted here, a pedantic registry and the linter accept too.
func FuzzTags(f *testing.F) {
	f.Add("app_a_total,b=c", "", "help", "app_a_total,b=d", uint8(0))
	f.Add("app_took_seconds", "key", "help", "app_took", uint8(4))
	f.Add("app_x", "key", "help", "app_x_count", uint8(6))
	f.Add("a_total", "le", "", "a", uint8(3))
	f.Add("app_milliseconds,q=\xff", "a", "b", ",x=y", uint8(9))
	types := []any{uint64(0), 1.5, true, time.Second, time.Time{}, metrics.Histogram{}, map[string]uint8{}, map[string]metrics.Histogram{}, part{}, map[string]part{}}
	f.Fuzz(func(t *testing.T, first, label, help, second string, kind uint8) {
		tag := func(metric, label string) string {
			s := fmt.Sprintf("metric:%q help:%q", metric, help)
			if label != "" {
				s += fmt.Sprintf(" label:%q", label)
			}
			return s
		}
		fields := field(types[int(kind)%len(types)], tag(first, label), types[int(kind/16)%len(types)], tag(second, label))
		for i := range fields { // reflect looks made types up by all but their tags, in a list
			fields[i].Name += fmt.Sprintf("_%x", sha256.Sum256([]byte(fields[0].Tag+fields[1].Tag)))
		}
		c := metrics.CollectorOf("x", reflect.StructOf(fields))
		reg := prometheus.NewPedanticRegistry()
		if err := reg.Register(c); err != nil {
			if !strings.Contains(err.Error(), "metrics: Collector(") {
				t.Errorf("only the registry found it: %v", err)
			}
			return
		}
		gather(t, reg)
	})
}

type hidden map[string]int

// Read has tags, and Around brings them in.
type (
	Read   struct{ part }
	Around struct {
		Ok int `metric:"app_ok" help:"Right."`
		*Read
	}
	// Loop contains itself, by a pointer, and has no tag.
	Loop struct {
		*Loop
		N int
	}
	// Left is not exported, as its tag says.
	Left struct {
		Ok    int `json:"metrics" metric:"app_ok" help:"Right."`
		*Read `metric:"-"`
		*Loop
	}
)

// A tag on what nobody can read, or that says nothing, is found at registration and not by the
// first scrape.
func TestM1_TagsThatWouldBeMissedOrCrash(t *testing.T) {
	for want, collector := range map[string]prometheus.Collector{
		"must begin with a capital letter": metrics.Collector("x", func() struct {
			hidden `metric:"app_a" label:"k" help:"A map."`
			Ok     int `metric:"app_ok" help:"Right."`
		} {
			panic("never scraped")
		}),
		"but is no map": metrics.Collector("x", func() struct {
			N  uint64 `label:"k"`
			Ok int    `metric:"app_ok" help:"Right."`
		} {
			panic("never scraped")
		}),
		`Around.Read: embeds *metrics_test.Read, and pointers are not followed: embed the struct itself, or leave it out with metric:"-"`: metrics.Collector("x", always(Around{})),
	} {
		if err := prometheus.NewRegistry().Register(collector); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("registered: %v, want %q", err, want)
		}
	}
}

// What only looks like one of these mistakes is none.
func TestM1_TagsOfOthersAreLeftAlone(t *testing.T) {
	expect(t, gather(t, registered(t, always(Left{Ok: 1}))), map[string]float64{`app_ok{name="x"}`: 1})
	for _, tag := range []string{`validate:"\d" metric:"a" help:"."`, `json:"label:\"x"  metric:"a" help:"."`, `json:"b"metric:"a"help:"."`, `x:"" metric:"a" help:"." y`} {
		if err := prometheus.NewRegistry().Register(metrics.CollectorOf("x", reflect.StructOf(field(1, tag)))); err != nil {
			t.Errorf("`%s`: %v", tag, err)
		}
	}
}
