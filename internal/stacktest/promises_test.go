package stacktest_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
)

// promises are what any stack keeps. A layer is stackable if they hold with it at any place of any stack.
var promises = []struct {
	name  string
	check func(*testing.T, *stack)
	// not: foreign layers that break it by themselves, wherever they stand.
	not string
}{
	{"a client gets what the bare handler sends", bodies, ""},
	{"no coding that was refused", codings, ""},
	{"HEAD is like GET", heads, ""},
	{"a tag names bytes and revalidates", tags, ""},
	{"who has read may write, and then reads what was written", updates, ""},
	{"a range is of what its tag names", ranges, ""},
	{"a mask keeps what it says", masks, ""},
	{"what was cut looks cut, and is not stored", aborts, ""},
	{"who leaves ends his own handler, and nothing is stored", leaves, ""},
	{"flushed bytes arrive while the handler runs", streams, "NT"},
	{"103 and its fields come first", hints, "T"},
	{"a handler may take over its connection", hijack, "NT"},
	{"a handler may answer while it reads", duplex, "NT"},
	{"deadlines reach the connection", deadlines, "NT"},
	{"a request body is read when it is wanted", uploads, ""},
	{"nothing is left of a form", forms, "T"},
	{"nothing crosses between users", users, ""},
	{"many at once get what each would get alone", crowd, ""},
	{"parts are requests", parts, "N"},
	{"n parts cost n tokens", tokens, "NT"},
	{"work after the response runs after it", work, ""},
	{"refusals are one request's own", refusals, "T"},
	{"the route is visible outside", routes, "T"},
	{"what ended how is seen by whom counts", counts, ""},
}

// keeps checks every promise of a stack, over one protocol.
func keeps(t *testing.T, letters, proto string) {
	before := leaktest.Running()
	t.Run(letters+"/"+proto, func(t *testing.T) {
		s := newStack(t, letters, proto)
		defer s.close(t)
		for _, p := range promises {
			if s.has(p.not) {
				continue
			}
			t.Run(p.name, func(t *testing.T) { p.check(t, s) })
		}
	})
	for _, left := range leaktest.Wait(before, 3*time.Second) {
		t.Errorf("%s over %s: a goroutine is left:\n%s", letters, proto, left)
	}
}

func keepsOverBoth(t *testing.T, letters string) {
	for _, proto := range protocols {
		keeps(t, letters, proto)
	}
}

// drawn are a source, seeded by 1 so that a run can be repeated, and how many stacks are to be drawn. HOTPATH_SEED and
// HOTPATH_STACKS say otherwise: with 3000, every subset is tried.
func drawn(t *testing.T) (rng *rand.Rand, stacks int) {
	seed, stacks := uint64(1), 2
	if n, err := strconv.ParseUint(os.Getenv("HOTPATH_SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("HOTPATH_STACKS")); err == nil {
		stacks = n
	}
	t.Logf("HOTPATH_SEED=%d HOTPATH_STACKS=%d", seed, stacks)
	return rand.New(rand.NewPCG(seed, 0)), stacks
}

// All layers in drawn orders; in most stacks one of them twice, and foreign layers in the gaps.
func TestEveryLayer(t *testing.T) {
	rng, n := drawn(t)
	for range n {
		letters := []byte(ours)
		rng.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
		add := func(from string) {
			letters = slices.Insert(letters, rng.IntN(len(letters)+1), from[rng.IntN(len(from))])
		}
		for range rng.IntN(4) {
			add("ALOCRLOCRN")
		}
		if rng.IntN(3) == 0 {
			add(ours)
		}
		if rng.IntN(8) == 0 {
			letters = slices.Insert(letters, 0, 'T')
		}
		keepsOverBoth(t, string(letters))
	}
}

// One to four layers in every order there is; in a usual run only some of them.
func TestEverySubset(t *testing.T) {
	all := subsets("", 4)
	rng, n := drawn(t)
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, letters := range all[:min(n, len(all))] {
		keepsOverBoth(t, letters)
	}
}

// subsets are the orders of up to n more layers around those of inner, each layer once.
func subsets(inner string, n int) (all []string) {
	for i := 0; n > 0 && i < len(ours); i++ {
		if letter := ours[i : i+1]; !strings.Contains(inner, letter) {
			all = append(append(all, letter+inner), subsets(letter+inner, n-1)...)
		}
	}
	return all
}

// The order that we recommend, and stacks that once went wrong or are harder than others: the same layer
// twice, foreign ones in every gap, what hides and buffers outside.
func TestNotedStacks(t *testing.T) {
	for i, letters := range []string{
		"", "mtcbphu", "tcbphuo", "hcbptu",
		"bc", "cc", "chc", "hh", "pp", "bb", "tct", "uhu", "php", "cpch", "mhm",
		"LtLcLhL", "OhOcOpO", "CuCcChCbC", "tNcNhNp", "cNb", "hAc", "Rc", "RcRh", "tRcbphu",
		"Tcthp", "Tmtcbphu",
	} {
		if os.Getenv("HOTPATH_STACKS") != "" {
			keepsOverBoth(t, letters)
		} else { // one of them, for the time of a usual run
			keeps(t, letters, protocols[i%2])
		}
	}
}
