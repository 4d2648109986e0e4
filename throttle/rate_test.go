package throttle_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

func TestRate_Text(t *testing.T) {
	for text, want := range map[string]throttle.Rate{
		"100/1m0s":  throttle.Per(100, time.Minute),
		"100/m":     throttle.Per(100, time.Minute),
		"50/s":      throttle.Per(50, time.Second),
		"5000/24h":  throttle.Per(5000, 24*time.Hour),
		"3/h":       throttle.Per(3, time.Hour),
		"1/ns":      throttle.Per(1, 1),
		"7/1h30m":   throttle.Per(7, 90*time.Minute),
		"0/0s":      {},
		"-3/-1s":    throttle.Per(-3, -time.Second), // for New to refuse, with the field's name
		"9/100ms":   throttle.Per(9, 100*time.Millisecond),
		"1000/us":   throttle.Per(1000, time.Microsecond),
		"12/250.5s": throttle.Per(12, 250*time.Second+500*time.Millisecond),
	} {
		var got throttle.Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
		var again throttle.Rate
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%v reads back as %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "/", "100", "100/", "/s", "a/s", "1.5/s", "+1/s", "1/d", "1/s/s", "1 /s", "1/ s", "99999999999999999999/s", "1/2"} {
		r := throttle.Per(1, 1)
		if err := r.UnmarshalText([]byte(text)); err == nil || r != throttle.Per(1, 1) {
			t.Errorf("%q is read as %v, %v", text, r, err)
		}
	}
	var cfg struct{ Limit throttle.Rate }
	if err := json.Unmarshal([]byte(`{"Limit":"7/m"}`), &cfg); err != nil || cfg.Limit != throttle.Per(7, time.Minute) {
		t.Errorf("from JSON: %v, %v", cfg, err)
	}
	if b, err := json.Marshal(cfg); err != nil || string(b) != `{"Limit":"7/1m0s"}` {
		t.Errorf("to JSON: %s, %v", b, err)
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"100/1m0s", "50/s", "1/ns", "-1/h", "1/1h1m1.5s", "+1/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, again throttle.Rate
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%q is %v, which reads back as %v, %v", text, r, again, err)
		}
	})
}
