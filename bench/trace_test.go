package bench

import (
	"bufio"
	"compress/gzip"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// A trace is a sequence of keys that were asked for.
type trace []uint64

// readTrace reads one of the public traces from the folder that $TRACES names: gli and loop have a key a
// line (LIRS), oltp and p3 a first block and a number of blocks (ARC), trace_vaultservice keys of
// eight bytes (Corda). most bounds its length; 0: all.
func readTrace(b *testing.B, name string, most int) (t trace) {
	b.Helper()
	dir := os.Getenv("TRACES")
	if dir == "" {
		b.Skip("TRACES names no folder with the public traces (gli.gz, loop.gz, oltp.gz, p3.gz, trace_vaultservice.gz)")
	}
	f, err := os.Open(filepath.Join(dir, name+".gz"))
	if errors.Is(err, fs.ErrNotExist) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	if name == "trace_vaultservice" {
		var key [8]byte
		for {
			if _, err := io.ReadFull(unzipped, key[:]); err != nil {
				return t
			}
			t = append(t, binary.BigEndian.Uint64(key[:]))
		}
	}
	lines := bufio.NewScanner(unzipped)
	for lines.Scan() && (most == 0 || len(t) < most) {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		first, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			continue // LIRS traces end with a mark
		}
		blocks := 1
		if len(fields) > 1 {
			blocks, _ = strconv.Atoi(fields[1])
		}
		for i := range uint64(blocks) {
			t = append(t, first+i)
		}
	}
	if most > 0 && len(t) > most {
		t = t[:most]
	}
	return t
}

// zipfTrace draws n keys of a million, the k-th with probability proportional to 1/k^1.01.
func zipfTrace(n int) (t trace) {
	const keys = 1 << 20
	cumulative, sum := make([]float64, keys), 0.0
	for k := range cumulative {
		sum += math.Pow(float64(k+1), -1.01)
		cumulative[k] = sum
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range n {
		t = append(t, uint64(sort.SearchFloat64s(cumulative, rng.Float64()*sum)))
	}
	return t
}

// A point is a trace and the number of entries that there is room for.
type point struct {
	name  string
	trace trace
	size  int
}

// points are the sixteen at which engines are compared.
func points(b *testing.B) (all []point) {
	add := func(name string, t trace, sizes ...int) {
		for _, size := range sizes {
			all = append(all, point{name + "/" + strconv.Itoa(size), t, size})
		}
	}
	add("Zipf", zipfTrace(1_000_000), 1_000, 10_000, 50_000)
	add("OLTP", readTrace(b, "oltp", 0), 250, 1_000, 2_000)
	add("GLI", readTrace(b, "gli", 0), 250, 1_000, 2_000)
	add("P3", readTrace(b, "p3", 2_000_000), 25_000, 100_000, 200_000)
	loop, corda := readTrace(b, "loop", 0), readTrace(b, "trace_vaultservice", 0)
	add("LOOP", loop, 256, 512)
	mixed := append(append(append(trace{}, corda...), loop...), corda...)
	add("Corda+LOOP+Corda", mixed, 512, 1_024)
	return all
}

// belady is the hit ratio of who knows the future: it drops what is asked for last.
func belady(t trace, size int) float64 {
	next, last := make([]int, len(t)), map[uint64]int{}
	for i := len(t) - 1; i >= 0; i-- {
		next[i] = math.MaxInt
		if at, ok := last[t[i]]; ok {
			next[i] = at
		}
		last[t[i]] = i
	}
	resident, queue, hits := map[uint64]int{}, &future{}, 0
	for i, key := range t {
		if _, ok := resident[key]; ok {
			hits++
		} else if len(resident) >= size {
			for {
				far := heap.Pop(queue).(use)
				if at, ok := resident[far.key]; ok && at == far.at {
					delete(resident, far.key)
					break
				}
			}
		}
		resident[key] = next[i]
		heap.Push(queue, use{key, next[i]})
	}
	return float64(hits) / float64(len(t))
}

type use struct {
	key uint64
	at  int
}

// future is a heap with the farthest use on top.
type future []use

func (f future) Len() int           { return len(f) }
func (f future) Less(i, j int) bool { return f[i].at > f[j].at }
func (f future) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *future) Push(x any)        { *f = append(*f, x.(use)) }
func (f *future) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}
