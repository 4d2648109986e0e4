package rediscache_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

// cli asks a server by its own client, which prints errors as answers.
func (s *server) cli(args ...string) string {
	s.t.Helper()
	out, _ := exec.Command(binary(s.t, "cli"), append([]string{"-p", strconv.Itoa(s.port)}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// startCluster starts three masters.
func startCluster(t testing.TB) (masters []*server) {
	t.Helper()
	args := []string{"--cluster", "create"}
	for range 3 {
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-port", strconv.Itoa(freePort(t)))
		masters, args = append(masters, s), append(args, s.addr())
	}
	if out, err := exec.Command(binary(t, "cli"), append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, "the cluster is up", func() bool {
		for _, s := range masters {
			if !strings.Contains(s.cli("CLUSTER", "INFO"), "cluster_state:ok") {
				return false
			}
		}
		return true
	})
	return masters
}

func inCluster(masters []*server) option {
	return func(tc *rediscache.Config[string], _ *cache.Config[string, string]) {
		tc.Client.ForceSingleClient, tc.Client.InitAddress = false, nil
		for _, s := range masters {
			tc.Client.InitAddress = append(tc.Client.InitAddress, s.addr())
		}
	}
}

// On a Cluster nothing else holds, also while the slot of a tier moves from one master to another:
// who is told of changes by the old one has to hear of those that the new one sees.
func TestTopology_Cluster(t *testing.T) {
	masters := startCluster(t)
	var version atomic.Int64
	load := func(_ context.Context, key string) (string, error) { return fmt.Sprint(key, "#", version.Load()), nil }
	a, b := newNode(t, "", load, inCluster(masters), tagged("t"), bounded), newNode(t, "", load, inCluster(masters), tagged("t"), bounded)
	now := func() string { return fmt.Sprint("k#", version.Load()) }
	agree := func(what string, change func()) {
		t.Helper()
		a.keeps(t, "k", now())
		b.must(t, "k", now())
		version.Add(1)
		change()
		eventually(t, what, func() bool { v, err := a.Get(t.Context(), "k"); return err == nil && v == now() })
	}
	agree("a hears of a Delete", func() { b.Delete("k") })
	agree("a hears of a purge", func() { b.PurgeTags("t") })

	slot := masters[0].cli("CLUSTER", "KEYSLOT", "{test}")
	from, to := owner(t, masters, slot)
	a.keeps(t, "k", now())
	move(t, masters, from, to, slot)
	agree("a hears of a Delete after the slot has moved", func() { b.Delete("k") })
	agree("a hears of a purge after the slot has moved", func() { b.PurgeTags("t") })
	if from.cli("CLUSTER", "COUNTKEYSINSLOT", slot) != "0" || to.cli("EXISTS", "{test}v::k") != "1" {
		t.Error("the slot has not moved")
	}
}

func bounded(tc *rediscache.Config[string], _ *cache.Config[string, string]) {
	tc.MaxStaleness = bound
}

// owner returns the master of a slot, and another one.
func owner(t *testing.T, masters []*server, slot string) (is, other *server) {
	t.Helper()
	for _, s := range masters {
		if s.cli("CLUSTER", "COUNTKEYSINSLOT", slot) != "0" {
			is = s
		} else {
			other = s
		}
	}
	if is == nil || other == nil {
		t.Fatalf("no owner of slot %s", slot)
	}
	return is, other
}

// move takes a slot from one master to another, with everything in it.
func move(t *testing.T, masters []*server, from, to *server, slot string) {
	t.Helper()
	ids := []string{from.cli("CLUSTER", "MYID"), to.cli("CLUSTER", "MYID")}
	check := func(answer string) {
		t.Helper()
		if answer != "OK" && answer != "NOKEY" {
			t.Fatal(answer)
		}
	}
	check(to.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0]))
	check(from.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1]))
	for {
		keys := strings.Fields(from.cli("CLUSTER", "GETKEYSINSLOT", slot, "100"))
		if len(keys) == 0 {
			break
		}
		check(from.cli(append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(to.port), "", "0", "5000", "KEYS"}, keys...)...))
	}
	for _, s := range append([]*server{to}, masters...) {
		check(s.cli("CLUSTER", "SETSLOT", slot, "NODE", ids[1]))
	}
}

// After a failover by Sentinel the tier works on, and what is in memory was dropped: the new master
// may not know of the last changes that the old one had told.
func TestTopology_Failover(t *testing.T) {
	master := startServer(t)
	replica := startServer(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port))
	eventually(t, "the replica is in sync", func() bool { return strings.Contains(replica.cli("INFO", "replication"), "master_link_status:up") })
	sentinel := startSentinel(t, master)
	eventually(t, "the sentinel knows the replica", func() bool {
		return strings.Contains(sentinel.cli("SENTINEL", "REPLICAS", "main"), strconv.Itoa(replica.port))
	})
	bySentinel := func(tc *rediscache.Config[string], _ *cache.Config[string, string]) {
		tc.Client.ForceSingleClient, tc.Client.InitAddress = false, []string{sentinel.addr()}
		tc.Client.Sentinel = rueidis.SentinelOption{MasterSet: "main"}
	}
	var version atomic.Int64
	version.Store(1)
	load := func(_ context.Context, key string) (string, error) { return fmt.Sprint(key, "#", version.Load()), nil }
	a, b := newNode(t, "", load, bySentinel, bounded), newNode(t, "", load, bySentinel, bounded)
	a.keeps(t, "k", "k#1")
	b.must(t, "k", "k#1")
	if got := master.cli("WAIT", "1", "10000"); got != "1" {
		t.Fatalf("the write is on %s replicas", got)
	}
	gaps := a.tier.Stats().Gaps
	eventually(t, "the sentinel fails over", func() bool { return sentinel.cli("SENTINEL", "FAILOVER", "main") == "OK" })
	eventually(t, "the replica is the master", func() bool { return strings.Contains(replica.cli("INFO", "replication"), "role:master") })
	master.kill()
	eventually(t, "both are on the new master", func() bool {
		a.must(t, "k", "k#1")
		for _, n := range []*node{a, b} {
			if n.tier.Stats().Gaps <= gaps || n.tier.Stats().Up == 0 || n.tier.Remove(t.Context(), "nobody") != nil {
				return false
			}
		}
		return replica.cli("EXISTS", "{test}v::k") == "1"
	})
	version.Store(2)
	b.Delete("k")
	eventually(t, "a hears of a Delete on the new master", func() bool { v, err := a.Get(t.Context(), "k"); return err == nil && v == "k#2" })
}

func startSentinel(t testing.TB, master *server) *server {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main 127.0.0.1 %d 1\nsentinel down-after-milliseconds main 60000\nsentinel failover-timeout main 30000\n", master.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, port: freePort(t)}
	s.cmd = exec.Command(binary(t, "server"), conf, "--sentinel", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	eventually(t, "the sentinel answers", func() bool { return s.cli("PING") == "PONG" })
	return s
}
