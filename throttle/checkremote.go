package throttle

import (
	"math"
	"math/bits"
	"strconv"
	"time"
)

// checkRemote checks what belongs to a Remote, and fills it in.
func (c *checker) checkRemote(cfg *Config) {
	if cfg.Remote == nil {
		without := func(field string, value any, set bool) {
			if set {
				c.bad(field, value, " without Remote: must be zero")
			}
		}
		without("Budget", cfg.Budget, cfg.Budget != 0)
		without("OnDown", strconv.Quote(cfg.OnDown), cfg.OnDown != "")
		without("Nodes", cfg.Nodes, cfg.Nodes != 0)
		without("Lease", cfg.Lease, cfg.Lease != 0)
		without("Logger", "set", cfg.Logger != nil)
		return
	}
	if cfg.Budget < 0 || cfg.Budget > maxBudget {
		c.bad("Budget", cfg.Budget, ": must be between 1ns and 10s (0 means 25ms)")
	}
	c.word("OnDown", &cfg.OnDown, "local", "open", "closed")
	if cfg.Lease > maxLease {
		c.bad("Lease", cfg.Lease, ": must be at most 1s (0 means 100ms, negative means never)")
	}
	if cfg.Nodes < 0 || cfg.Nodes > maxNodes {
		c.bad("Nodes", cfg.Nodes, ": must be between 1 and 65536 (0 means 1)")
	} else if len(c.problems) == 0 {
		for i, p := range cfg.Policies {
			over, per := bits.Mul64(uint64(p.Rate.Per), uint64(max(cfg.Nodes, 1)))
			if local := cfg.local(p); over > 0 || per > math.MaxInt64 || !fits(local.Rate, local.Burst) {
				c.bad("Nodes", cfg.Nodes, ": Policies["+strconv.Itoa(i)+"] at "+p.Rate.String()+" shared by them must be full again within 36 years")
			}
		}
	}
	if cfg.Budget == 0 {
		cfg.Budget = defaultBudget
	}
	if cfg.Nodes == 0 {
		cfg.Nodes = 1
	}
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
}

// local is p as one of Nodes keeps it while the Remote is down.
func (cfg *Config) local(p Policy) Policy {
	nodes := int64(max(cfg.Nodes, 1))
	p.Rate.Per *= time.Duration(nodes)
	p.Burst = max(p.Burst/nodes, 1)
	return p
}
