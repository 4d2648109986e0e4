package pool

import (
	"time"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// Stats is a snapshot of what a Pool has done since it was made. Every accepted task waits, runs, or
// has ended in exactly one outcome; what its waiter runs (see Future.Wait) is nowhere until it has.
type Stats struct {
	Tasks       map[string]uint64 `metric:"hotpath_pool_tasks_total" label:"outcome" help:"Accepted tasks, by how they ended."` // ok failed panicked cancelled dropped
	Refused     map[string]uint64 `metric:"hotpath_pool_refused_total" label:"reason" help:"Tasks not accepted, by reason."`    // full closed
	Helped      uint64            `metric:"hotpath_pool_helped_total" help:"Tasks run by who waited for them."`
	Unwrapped   uint64            `metric:"hotpath_pool_after_unwrapped_total" help:"Calls of After without a Handler around."`
	Waiting     int64             `metric:"hotpath_pool_waiting" help:"Accepted tasks that wait, those of After included."`
	Blocked     int64             `metric:"hotpath_pool_blocked_submitters" help:"Callers that wait for room in the queue."`
	Running     int64             `metric:"hotpath_pool_running" help:"Workers that have a task."`
	Overdue     int64             `metric:"hotpath_pool_overdue" help:"Tasks that ignore the end of their time."`
	Capacity    int64             `metric:"hotpath_pool_queue_capacity" help:"Tasks that may wait."`
	WaitSeconds stat.Histogram    `metric:"hotpath_pool_wait_seconds" help:"Time that tasks waited, of some of them."`
	RunSeconds  stat.Histogram    `metric:"hotpath_pool_run_seconds" help:"Time that tasks ran, of some of them."`
}

// One task in so many is clocked: a clock costs as much as all else that an empty task does.
const (
	sampled     = 16
	sampledBusy = 64 // when there are many of them
)

func every(busy bool) uint64 {
	if busy {
		return sampledBusy
	}
	return sampled
}

type outcomes struct{ ok, failed, panicked, cancelled, dropped, helped uint64 }

func (o *outcomes) include(more outcomes) {
	o.ok += more.ok
	o.failed += more.failed
	o.panicked += more.panicked
	o.cancelled += more.cancelled
	o.dropped += more.dropped
	o.helped += more.helped
}

// tally is guarded by Pool.mu. Workers count their own and bring it when they leave.
type tally struct {
	outcomes
	refusedFull, refusedClosed, unwrapped uint64
}

// Stats returns the counters. It takes the pool's lock for as long as it looks at every worker.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, overdue, now := p.outcomes, int64(0), time.Time{}
	if p.cfg.TaskTimeout > 0 {
		now = time.Now()
	}
	running, waits := int64(0), p.living()+p.reserved
	for _, w := range p.all {
		w.mu.Lock()
		o.include(w.outcomes)
		waits += w.waiting()
		if w.inTask {
			running++
			if p.cfg.TaskTimeout > 0 && now.Sub(w.started) > p.cfg.TaskTimeout {
				overdue++
			}
		}
		w.mu.Unlock()
	}
	return Stats{
		Tasks:   map[string]uint64{"ok": o.ok, "failed": o.failed, "panicked": o.panicked, "cancelled": o.cancelled, "dropped": o.dropped},
		Refused: map[string]uint64{"full": p.refusedFull, "closed": p.refusedClosed},
		Helped:  o.helped, Unwrapped: p.unwrapped,
		Waiting: int64(waits), Blocked: int64(p.blocked),
		Running: running, Overdue: overdue, Capacity: int64(p.cfg.Queue),
		WaitSeconds: p.wait.Read(), RunSeconds: p.run.Read(),
	}
}
