package live

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A sampler gathers while somebody looks. Only its own goroutine does so, and holds no lock meanwhile: a
// collector that takes its time delays the next sample, and nobody who comes or goes.
type sampler struct {
	g prometheus.Gatherer

	mu      sync.Mutex
	viewers map[viewer]state // all whose handlers have not returned
	running bool
	idle    time.Time // since when nobody looks
	history *history
}

// A viewer takes what happens, until it is closed for being too far behind.
type viewer chan message

type state int

const (
	waits state = iota // for the first sample
	looks
	left // behind
)

type message struct {
	name string
	data []byte
}

// enter returns a new viewer, whose first message is the history; false: there is no room.
func (s *sampler) enter() (viewer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.viewers) >= maxViewers {
		return nil, false
	}
	if s.viewers == nil {
		s.viewers = map[viewer]state{}
	}
	mine := make(viewer, unread)
	s.viewers[mine] = waits
	if !s.running {
		s.running, s.history = true, newHistory()
		go s.run()
	} else if len(s.history.times) > 0 { // else it comes with the first sample
		s.begin(mine)
	}
	return mine, true
}

func (s *sampler) leave(mine viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.viewers, mine)
	if len(s.viewers) == 0 {
		s.idle = time.Now()
	}
}

func (s *sampler) begin(v viewer) {
	s.viewers[v] = looks
	v <- message{"start", s.history.all()} // its first, so there is room
}

func (s *sampler) run() {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for s.tick() {
		<-ticker.C
	}
}

// tick takes a sample and sends what has changed; false: nobody looks any more.
func (s *sampler) tick() bool {
	t := time.Now()
	if s.ended(t) {
		return false
	}
	families, err := gather(s.g)
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.history.add(t, families, err)
	for v, is := range s.viewers {
		switch {
		case is == waits:
			s.begin(v)
		case is == looks && len(v) == cap(v):
			s.viewers[v] = left
			close(v)
		case is == looks:
			v <- message{"tick", data}
		}
	}
	return true
}

func (s *sampler) ended(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = len(s.viewers) > 0 || t.Sub(s.idle) < lingering
	return !s.running
}

// gather returns what could be gathered, and why not all. A collector of somebody else may panic.
func gather(g prometheus.Gatherer) (families []*dto.MetricFamily, err error) {
	defer func() {
		if p := recover(); p != nil {
			families, err = nil, fmt.Errorf("a collector panicked: %v", p)
		}
	}()
	return g.Gather()
}
