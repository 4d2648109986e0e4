package live

import (
	"encoding/json"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A series is told to viewers once.
type series struct {
	ID     int               `json:"i"`
	Name   string            `json:"n"`
	Labels map[string]string `json:"l,omitempty"`
	Type   string            `json:"t"` // c: counter, g: gauge
	Help   string            `json:"h,omitempty"`
}

// A sampler gathers while somebody looks.
type sampler struct {
	g prometheus.Gatherer

	mu      sync.Mutex
	viewers map[chan []byte]bool
	running bool
	idle    time.Time // since when nobody looks

	ids     map[string]int
	all     []series
	times   []int64                // of the samples, Unix milliseconds
	history [][]*float64           // of each series, as long as times; nil: it was not there
	buckets map[int]*dto.Histogram // what a histogram had at the last sample
}

func (s *sampler) enter() (mine chan []byte, history []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.viewers) >= maxViewers {
		return nil, nil, false
	}
	if !s.running {
		s.running = true
		s.viewers, s.ids, s.all, s.times, s.history, s.buckets = map[chan []byte]bool{}, map[string]int{}, nil, nil, nil, map[int]*dto.Histogram{}
		s.sample(time.Now())
		go s.run()
	}
	mine = make(chan []byte, unread)
	s.viewers[mine] = true
	history, err := json.Marshal(map[string]any{"series": s.all, "times": s.times, "values": s.history})
	return mine, history, err == nil
}

func (s *sampler) leave(mine chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.viewers, mine)
	if len(s.viewers) == 0 {
		s.idle = time.Now()
	}
}

func (s *sampler) run() {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for t := range ticker.C {
		if !s.tick(t) {
			return
		}
	}
}

// tick takes a sample and sends what has changed; false: nobody looks any more.
func (s *sampler) tick(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.viewers) == 0 && t.Sub(s.idle) >= lingering {
		s.running = false
		return false
	}
	known := len(s.all)
	changed := s.sample(t)
	data, err := json.Marshal(map[string]any{"t": t.UnixMilli(), "series": s.all[known:], "v": changed})
	if err != nil {
		return true
	}
	for v := range s.viewers {
		select {
		case v <- data:
		default:
			delete(s.viewers, v)
			close(v)
		}
	}
	return true
}

// sample adds one to the history and returns the values that differ from the last; nil: gone.
func (s *sampler) sample(t time.Time) (changed map[int]*float64) {
	families, _ := s.g.Gather() // with an error come those that could be gathered
	if len(s.times) == kept {
		s.times = s.times[1:]
		for i := range s.history {
			s.history[i] = s.history[i][1:]
		}
	}
	s.times = append(s.times, t.UnixMilli())
	changed = map[int]*float64{}
	note := func(id int, v float64) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		h := s.history[id]
		if len(h) == 0 || h[len(h)-1] == nil || *h[len(h)-1] != v {
			changed[id] = &v
		}
		s.history[id] = append(h, &v)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			switch {
			case m.Histogram != nil:
				id := s.id(f, m, "_count", "c")
				h := m.Histogram
				note(id, float64(h.GetSampleCount()))
				note(s.id(f, m, "_sum", "c"), h.GetSampleSum())
				p50, p99 := s.id(f, m, "_p50", "g"), s.id(f, m, "_p99", "g")
				if last := s.buckets[id]; last != nil {
					note(p50, between(last, h, 0.5))
					note(p99, between(last, h, 0.99))
				}
				s.buckets[id] = h
			case m.Counter != nil:
				note(s.id(f, m, "", "c"), m.Counter.GetValue())
			case m.Gauge != nil:
				note(s.id(f, m, "", "g"), m.Gauge.GetValue())
			case m.Untyped != nil:
				note(s.id(f, m, "", "g"), m.Untyped.GetValue())
			}
		}
	}
	for i, h := range s.history { // who had no value now
		if len(h) < len(s.times) {
			if len(h) > 0 && h[len(h)-1] != nil {
				changed[i] = nil
			}
			s.history[i] = append(h, nil)
		}
	}
	return changed
}

// id returns that of a series, which is made when it first comes.
func (s *sampler) id(f *dto.MetricFamily, m *dto.Metric, suffix, kind string) int {
	var key strings.Builder
	key.WriteString(f.GetName() + suffix)
	for _, l := range m.Label {
		key.WriteString("\x00" + l.GetName() + "\x00" + l.GetValue())
	}
	if id, ok := s.ids[key.String()]; ok {
		return id
	}
	labels := map[string]string{}
	for _, l := range m.Label {
		labels[l.GetName()] = l.GetValue()
	}
	id := len(s.all)
	s.ids[key.String()] = id
	s.all = append(s.all, series{ID: id, Name: f.GetName() + suffix, Labels: labels, Type: kind, Help: f.GetHelp()})
	s.history = append(s.history, make([]*float64, len(s.times)-1, kept))
	return id
}

// between is a quantile of what came between two states of a histogram, the upper end of its bucket;
// NaN if nothing came.
func between(last, now *dto.Histogram, q float64) float64 {
	total := float64(now.GetSampleCount()) - float64(last.GetSampleCount())
	if total <= 0 {
		return math.NaN()
	}
	for i, b := range now.Bucket {
		before := uint64(0)
		if i < len(last.Bucket) {
			before = last.Bucket[i].GetCumulativeCount()
		}
		if float64(b.GetCumulativeCount()-before) >= q*total {
			return b.GetUpperBound()
		}
	}
	return math.NaN()
}
