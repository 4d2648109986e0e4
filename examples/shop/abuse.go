package main

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// In the phase of abuse one consumer sends fifteen times what it may, while the others go on as
// they did in the calm phase before it.
const (
	abuser     = "abuser"
	floodRate  = 15 * abuseLimit // requests a second
	othersRate = 300             // actions a second: enough for a p99 in 4 s
)

// An AbuseReport is what became of both.
type AbuseReport struct {
	Calm   Percentiles `json:"others_calm"`
	Beside Percentiles `json:"others_beside_the_flood"`
	Lost   int         `json:"others_lost"` // actions that were refused or failed beside the flood
	Sent   int64       `json:"abuser_sent"` // requests
	LetIn  int64       `json:"abuser_let_in"`
	Due    int64       `json:"abuser_due_at_most"`
}

// dueToAbuser is how many requests are let in at most in d, a full bucket at its start: exactly,
// not about.
func dueToAbuser(d time.Duration) int64 {
	return 2*abuseLimit + int64(math.Floor(float64(abuseLimit)*d.Seconds()))
}

// abuse measures the phase on a side that throttles.
func (d *drive) abuse(ctx context.Context, s *side) error {
	if !d.o.on.Has("throttle") {
		return nil
	}
	if _, err := s.ask(ctx, fmt.Sprint("limit ", abuseLimit)); err != nil {
		return err
	}
	others := load.Plan{Rate: othersRate, For: d.o.length, Seed: d.o.seed}
	calm, err := load.Open(ctx, others, s.next)
	if err != nil {
		return err
	}
	if err := pause(ctx, rest); err != nil {
		return err
	}

	var letIn atomic.Int64
	request := detailRequest(1).bytes(s.Addr, abuser)
	flood := load.Action{Kind: "flood", Consumer: abuser, Do: func(ctx context.Context, c *load.Client) error {
		return c.Do(ctx, s.Addr, request, func(a load.Answer) error {
			if a.Status == 200 {
				letIn.Add(1)
				return nil
			}
			return load.Expect(a, 429)
		})
	}}
	type flooded struct {
		r   *load.Result
		err error
	}
	done, start := make(chan flooded, 1), time.Now()
	go func() {
		r, err := load.Open(ctx, load.Plan{Rate: floodRate, For: d.o.length, Seed: d.o.seed}, func(int) load.Action { return flood })
		done <- flooded{r, err}
	}()
	beside, err := load.Open(ctx, others, s.next)
	f := <-done
	due := dueToAbuser(time.Since(start))
	switch {
	case err != nil:
		return err
	case f.err != nil:
		return f.err
	}
	d.report.Abuse = &AbuseReport{
		Calm: percentiles(calm), Beside: percentiles(beside), Lost: beside.Failed(),
		Sent: f.r.Requests, LetIn: letIn.Load(), Due: due,
	}
	_, err = s.ask(ctx, fmt.Sprint("limit ", usualLimit))
	return err
}

// extra is the phase as a table.
func (a *AbuseReport) extra() extra {
	row := func(name string, p Percentiles) []string {
		return []string{name, fmt.Sprintf("%s actions", group(float64(p.Count))), millis(p.P50), millis(p.P95), millis(p.P99)}
	}
	return extra{
		fmt.Sprintf("One consumer sends %d times its limit: %s requests, %s let in of %s that are due, %d actions of others lost",
			floodRate/abuseLimit, group(float64(a.Sent)), group(float64(a.LetIn)), group(float64(a.Due)), a.Lost),
		[][]string{{"the others", "", "p50 ms", "p95 ms", "p99 ms"}, row("before the flood", a.Calm), row("beside it", a.Beside)},
	}
}
