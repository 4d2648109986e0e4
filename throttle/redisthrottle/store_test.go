package redisthrottle

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/throttle"
)

func limiter(t testing.TB, cfg throttle.Config) *throttle.Limiter {
	t.Helper()
	l, err := throttle.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// calls is how often the server ran a command.
func (s *server) calls(command string) int {
	for line := range strings.Lines(s.do("INFO", "commandstats")) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			n, _, _ := strings.Cut(rest, ",")
			calls, _ := strconv.Atoi(n)
			return calls
		}
	}
	return 0
}

// D1, D6: three policies are one EVALSHA; a refusal writes nothing; what is stored says how long,
// and not of whom.
func TestD6_OneCall(t *testing.T) {
	srv := startServer(t)
	l := limiter(t, throttle.Config{Remote: newStore(t, srv.addr), Lease: -1, Budget: 5 * time.Second, Policies: []throttle.Policy{
		{Name: "second", Rate: throttle.Per(1000, time.Second)}, {Name: "hour", Rate: throttle.Per(2, time.Hour)}, {Name: "try", Rate: throttle.Per(1, time.Hour), Shadow: true},
	}})
	key := throttle.KeyOf("alice@example.org")
	srv.do("CONFIG", "RESETSTAT")
	for i := range 2 {
		if d := l.Take(t.Context(), key, 1); !d.Allowed || d.Policy != "hour" || d.Limit != 2 || d.Remaining != 1-int64(i) {
			t.Errorf("%d: %+v", i, d)
		}
	}
	if got := srv.calls("evalsha"); got != 2 {
		t.Errorf("%d calls for two decisions", got)
	}
	writes := srv.calls("set")
	time.Sleep(time.Second + 10*time.Millisecond) // the shield's time
	d := l.Take(t.Context(), key, 1)
	if d.Allowed || d.Status != 429 || d.Policy != "hour" || d.RetryAfter > 30*time.Minute || d.RetryAfter < 29*time.Minute || d.Remaining != 0 {
		t.Errorf("refused: %+v", d)
	}
	if got := srv.calls("set"); got != writes || srv.calls("evalsha") != 3 {
		t.Errorf("%d writes, want %d; %d calls", got, writes, srv.calls("evalsha"))
	}
	names := strings.Fields(srv.do("KEYS", "*"))
	hash := fmt.Sprintf("hotpath:throttle:{%x}", key.Hash(nil))
	if len(names) != 2 || !strings.HasPrefix(names[0], hash) || !strings.HasPrefix(names[1], hash) { // "second" is full again
		t.Errorf("stored: %q, want two of %s", names, hash)
	}
	ttl, _ := strconv.Atoi(srv.do("PTTL", hash+"hour"))
	if ttl > 3600_000 || ttl < 3500_000 {
		t.Errorf("kept for %d ms, want an hour", ttl)
	}
	l.Refund(t.Context(), key, 5)
	if names := srv.do("KEYS", "*"); names != "" {
		t.Errorf("full buckets are stored: %q", names)
	}
	if d := l.Peek(t.Context(), key, 2); !d.Allowed || srv.do("KEYS", "*") != "" {
		t.Errorf("%+v, %q", d, srv.do("KEYS", "*"))
	}
}

// D6: a server that has lost the script, or everything, is asked on.
func TestD6_ScriptFlush_FlushAll(t *testing.T) {
	srv := startServer(t)
	l := limiter(t, throttle.Config{Remote: newStore(t, srv.addr), Lease: -1, Budget: 5 * time.Second, Rate: throttle.Per(3, time.Hour)})
	key := throttle.KeyOf("k")
	for i := range 3 {
		srv.do("SCRIPT", "FLUSH")
		if d := l.Take(t.Context(), key, 1); !d.Allowed || d.Remaining != 2-int64(i) {
			t.Errorf("%d: %+v", i, d)
		}
	}
	srv.do("FLUSHALL")
	eventually(t, "the bucket is full again, once the key is no more shielded", func() bool { return l.Peek(t.Context(), key, 3).Allowed })
	if st := l.Stats(); st.Trips["error"] != 0 || st.Remote["store"] != 3 {
		t.Errorf("%v %v", st.Trips, st.Remote)
	}
}

// D6: debt is kept in tokens when a limit changes.
func TestD6_ChangedRate(t *testing.T) {
	srv := startServer(t)
	store := newStore(t, srv.addr)
	with := func(n int64) *throttle.Limiter {
		return limiter(t, throttle.Config{Remote: store, Lease: -1, Budget: 5 * time.Second, Rate: throttle.Per(n, time.Hour)})
	}
	key := throttle.KeyOf("k")
	with(100).Take(t.Context(), key, 80)
	for _, tc := range []struct{ limit, left int64 }{{1000, 920}, {100, 20}, {90, 10}, {50, 0}, {100, 20}} {
		if d := with(tc.limit).Peek(t.Context(), key, 0); d.Remaining < tc.left || d.Remaining > tc.left+1 {
			t.Errorf("limit %d: %d left, want %d", tc.limit, d.Remaining, tc.left)
		}
	}
}

// D6: what New says of a config, and of a server that will not do.
func TestD6_New(t *testing.T) {
	srv := startServer(t)
	_, err := New(Config{Prefix: "a{b"})
	for _, want := range []string{"redisthrottle: Client is nil: must be set", `redisthrottle: Prefix is "a{b": must have no braces`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	for _, denied := range []string{"-@scripting", "-time", "-get", "-set", "resetkeys"} {
		srv.do("ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "+@all", denied)
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{srv.addr}, Username: "app", Password: "pw", DisableCache: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Client: c}); err == nil || !strings.Contains(err.Error(), "redisthrottle: Client's server refuses the script") {
			t.Errorf("%s: %v", denied, err)
		}
		c.Close()
	}
	srv.do("ACL", "SETUSER", "app", "reset", "on", ">pw", "~hotpath:throttle:*", "+eval", "+evalsha", "+time", "+get", "+set", "+del", "+hello", "+client", "+ping")
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{srv.addr}, Username: "app", Password: "pw", DisableCache: true, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := New(Config{Client: c}); err != nil {
		t.Errorf("with what it needs and no more: %v", err)
	}
	srv.kill()
	if _, err := New(Config{Client: c}); err != nil {
		t.Errorf("a server that is down is no error of New: %v", err)
	}
}

// D6: with a secret nobody can find out by trying whose a bucket is.
func TestD6_Secret(t *testing.T) {
	srv := startServer(t)
	c := client(t, srv.addr)
	key := throttle.KeyOf("k")
	for _, secret := range []string{"", "one", "two"} {
		store, err := New(Config{Client: c, Prefix: "p:" + secret + ":", Secret: []byte(secret)})
		if err != nil {
			t.Fatal(err)
		}
		limiter(t, throttle.Config{Remote: store, Budget: 5 * time.Second, Rate: throttle.Per(1, time.Hour)}).Take(t.Context(), key, 1)
		if want := fmt.Sprintf("p:%s:{%x}default", secret, key.Hash([]byte(secret))); srv.do("EXISTS", want) != "1" {
			t.Errorf("no %s among %s", want, srv.do("KEYS", "*"))
		}
	}
}

// D6: on a Cluster each key is decided where it is, and who took gives back if another refuses.
func TestD6_Cluster(t *testing.T) {
	servers, addrs := cluster(t)
	store := newStore(t, addrs...)
	if !store.cluster {
		t.Fatal("the client does not know that it speaks to a Cluster")
	}
	total := func() (n int) {
		for _, s := range servers {
			n += s.calls("evalsha") + s.calls("eval")
		}
		return n
	}
	for i := range 20 {
		op := func(policy, key string, burst int64) throttle.Op {
			return throttle.Op{Policy: policy, Key: throttle.KeyOf(fmt.Sprint(key, i)), Rate: throttle.Per(burst, time.Hour), Burst: burst, Cost: 1}
		}
		ops := func() []throttle.Op {
			return []throttle.Op{op("a", "user", 10), op("b", "net", 2), op("c", "user", 20)}
		}
		before := total()
		for k := range 2 {
			all := ops()
			if err := store.Take(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			for j, want := range []int64{9, 1, 19} {
				if all[j].Granted != 1 || all[j].Remaining != want-int64(k) {
					t.Errorf("%d, %d: %+v", k, j, all[j])
				}
			}
		}
		if got := total() - before; got < 4 || got > 8 { // 4, and what a new node does not know
			t.Errorf("%d calls for two decisions of two keys", got)
		}
		all := ops()
		if err := store.Take(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		for j := range all {
			if all[j].Granted != 0 || (all[j].RetryAfter > 0) != (j == 1) {
				t.Errorf("refused, %d: %+v", j, all[j])
			}
		}
		all = ops()
		for j := range all {
			all[j].Cost = 0
		}
		if err := store.Take(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		if all[0].Remaining != 8 || all[1].Remaining != 0 || all[2].Remaining != 18 {
			t.Errorf("not given back: %+v", all)
		}
	}
	// A decision with a dead node is an error in time, and takes nothing from the others.
	l := limiter(t, throttle.Config{Remote: store, Lease: -1, OnDown: "closed", Budget: 500 * time.Millisecond, Policies: []throttle.Policy{{Name: "p", Rate: throttle.Per(10, time.Hour)}}})
	servers[0].kill()
	allowed := 0
	for i := range 60 {
		if l.Take(t.Context(), throttle.KeyOf(fmt.Sprint("later", i)), 1).Allowed {
			allowed++
		}
	}
	if allowed == 60 {
		t.Error("a third of the keys is gone, and everybody is admitted")
	}
}

// D6: what is stored under a name of ours and is not ours is a full bucket, and is written over.
func TestD6_ForeignValues(t *testing.T) {
	srv := startServer(t)
	store := newStore(t, srv.addr)
	key := throttle.KeyOf("k")
	name := fmt.Sprintf("hotpath:throttle:{%x}p", key.Hash(nil))
	soon := time.Now().Add(time.Minute).UnixMicro()
	for _, set := range [][]string{
		{"SET", name, "garbage"},
		{"SET", name, ""},
		{"SET", name, "1:2"},
		{"SET", name, fmt.Sprint(soon, ":0:x")},
		{"SET", name, fmt.Sprint(soon, ":0:1:0")},
		{"SET", name, fmt.Sprint(soon, ":0:1:0:0")},
		{"SET", name, fmt.Sprint(soon, ":1000:100000:0:1000")},
		{"SET", name, fmt.Sprint(soon, ":999999:1:0:1000")},
		{"SET", name, fmt.Sprint("-", soon, ":0:100000:0:1000")},
		{"SET", name, "9007199254740993:0:1:0:1000"},
		{"SET", name, "99999999999999999999999:0:100000:0:1000"},
		{"RPUSH", name, "a", "b"},
		{"HSET", name, "a", "b"},
	} {
		srv.do(set...)
		for i := range int64(2) {
			ops := []throttle.Op{{Policy: "p", Key: key, Rate: throttle.Per(10, time.Hour), Burst: 10, Cost: 1, Ahead: i}}
			if err := store.Take(t.Context(), ops); err != nil || ops[0].Granted != 1+i || ops[0].Remaining != 9-2*i {
				t.Errorf("%q, %d: %v %+v", set, i, err, ops[0])
			}
		}
		srv.do("DEL", name)
	}
	// A debt of another rate is no foreign value.
	srv.do("SET", name, fmt.Sprint(soon, ":0:1000000:0:1000"))
	ops := []throttle.Op{{Policy: "p", Key: key, Rate: throttle.Per(100, time.Hour), Burst: 100}}
	if err := store.Take(t.Context(), ops); err != nil || ops[0].Remaining < 40 || ops[0].Remaining > 41 {
		t.Errorf("60 seconds owed at one a second: %v %+v", err, ops[0])
	}
}
