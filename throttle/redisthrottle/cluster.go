package redisthrottle

import (
	"context"

	"github.com/hotpath-go/hotpath/throttle"
)

// A part is the ops of one key, which one node of a Cluster decides.
type part struct {
	ops []throttle.Op // copies: a call that was given up may end later
	at  []int         // where they stand
	err error
}

// takeApart decides the ops of each key by themselves, all at once. If one key refuses, or cannot
// be asked, the others get back what was taken.
func (s *Store) takeApart(ctx context.Context, ops []throttle.Op) error {
	var parts []*part
	for i := range ops {
		var own *part
		for _, p := range parts {
			if p.ops[0].Key == ops[i].Key {
				own = p
			}
		}
		if own == nil {
			own = new(part)
			parts = append(parts, own)
		}
		own.ops, own.at = append(own.ops, ops[i]), append(own.at, i)
	}
	if err := s.callAll(ctx, parts); err != nil {
		s.giveBack(ctx, parts)
		return err
	}
	for _, p := range parts {
		for k, i := range p.at {
			ops[i] = p.ops[k]
		}
	}
	if len(parts) > 1 && refused(ops) {
		s.giveBack(ctx, parts)
		for i := range ops {
			if op := &ops[i]; !op.Force {
				op.Remaining = min(op.Remaining+op.Granted, op.Burst)
				op.Granted = 0
			}
		}
	}
	return nil
}

func refused(ops []throttle.Op) bool {
	for i := range ops {
		if op := &ops[i]; op.Granted < op.Cost && !op.Soft && !op.Force {
			return true
		}
	}
	return false
}

// callAll calls for all parts and returns when all have been answered, or ctx ends: Client may
// have to find out where a key is now, and then takes longer.
func (s *Store) callAll(ctx context.Context, parts []*part) error {
	done := make(chan *part, len(parts))
	for _, p := range parts {
		own := &part{ops: append([]throttle.Op(nil), p.ops...)}
		go func() {
			own.err = s.call(ctx, own.ops)
			done <- own
		}()
	}
	var err error
	for range parts {
		select {
		case own := <-done:
			for _, p := range parts {
				if p.ops[0].Key != own.ops[0].Key {
					continue
				}
				if p.err = own.err; own.err == nil {
					p.ops = own.ops
				} else {
					err = own.err
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// giveBack returns what parts have taken. What is not told in time is spent.
func (s *Store) giveBack(ctx context.Context, parts []*part) {
	var back []*part
	for _, p := range parts {
		own := new(part)
		for _, op := range p.ops {
			if op.Granted > 0 && !op.Force {
				own.ops = append(own.ops, throttle.Op{Policy: op.Policy, Key: op.Key, Rate: op.Rate, Burst: op.Burst, Back: op.Granted})
			}
		}
		if len(own.ops) > 0 {
			back = append(back, own)
		}
	}
	if len(back) > 0 {
		_ = s.callAll(ctx, back)
	}
}
