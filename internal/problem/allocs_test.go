//go:build !race

package problem_test

import (
	"testing"

	"github.com/hotpath-go/hotpath/internal/problem"
)

func TestAllocs_Append(t *testing.T) {
	p := problem.Problem{Status: 429, Detail: "the limit is 10 a second", More: []problem.Member{{"policy", "free"}, {"limit", 10}}}
	dst := make([]byte, 0, 512)
	if got := testing.AllocsPerRun(100, func() { problem.Append(dst, p) }); got > 0 {
		t.Errorf("%v allocations for plain text, want 0", got)
	}
}
