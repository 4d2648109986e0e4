package metrics_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/hotpath-go/hotpath"

func golang(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Who does not import metrics pays nothing for it: no package of the house but this one, and
// the helper of our tests, needs client_golang.
func TestLinks_OnlyMetricsNeedsPrometheus(t *testing.T) {
	packages := strings.Fields(golang(t, "list", module+"/..."))
	seen := false
	for _, p := range packages {
		brings := strings.Contains(golang(t, "list", "-deps", p), "github.com/prometheus/")
		meant := p == module+"/metrics" || p == module+"/internal/statstest"
		if brings != meant {
			t.Errorf("%s brings packages of Prometheus: %t, want %t", p, brings, meant)
		}
		seen = seen || meant
	}
	if !seen || len(packages) < 5 {
		t.Errorf("only saw %q", packages)
	}
}

// The same, measured in a program: nothing of client_golang is in its binary.
func TestLinks_ACacheAloneHasNothingOfPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	const program = `package main

import (
	"context"

	"github.com/hotpath-go/hotpath/cache"
	IMPORT
)

func main() {
	c, err := cache.New(cache.Config[string, int]{Load: func(context.Context, string) (int, error) { return 1, nil }})
	if err != nil {
		panic(err)
	}
	USE
	println(c.Stats().Hits)
}
`
	symbols := func(name, imports, use string) (prometheus, ours int) {
		file, bin := filepath.Join(t.TempDir(), name+".go"), filepath.Join(t.TempDir(), name)
		text := strings.NewReplacer("IMPORT", imports, "USE", use).Replace(program)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		golang(t, "build", "-o", bin, file)
		for line := range strings.Lines(golang(t, "tool", "nm", bin)) {
			switch {
			case strings.Contains(line, "github.com/prometheus/"):
				prometheus++
			case strings.Contains(line, module+"/cache."):
				ours++
			}
		}
		return prometheus, ours
	}
	if theirs, ours := symbols("alone", "", ""); theirs != 0 || ours == 0 {
		t.Errorf("a program with a cache has %d symbols of Prometheus and %d of the cache, want none and some", theirs, ours)
	}
	// And the measure can tell.
	if theirs, _ := symbols("both", `"github.com/hotpath-go/hotpath/metrics"`, `metrics.Collector("x", c.Stats)`); theirs == 0 {
		t.Error("a program with metrics has no symbol of Prometheus either")
	}
}
