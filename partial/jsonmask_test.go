package partial_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/partial"
)

// jsonMask cuts documents, a line each, as json-mask of npm does.
const jsonMask = `
const mask = require('json-mask')
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const [fields, doc] = JSON.parse(line)
  console.log(JSON.stringify(mask(doc, fields)))
})`

// The same language in JavaScript says the same where both agree by design: every name that a mask
// has exists, no value is null, no scalar stands where the mask goes on, no name is there twice
// (its last term wins), and no "*" stands beside a name.
func TestJSONMask_Differential(t *testing.T) {
	missing := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing, and CI=true says that it is here", what)
		}
		t.Skipf("%s is missing: not compared here", what)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("node")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if exec.CommandContext(ctx, node, "-e", "require.resolve('json-mask')").Run() != nil {
		missing("json-mask in NODE_PATH")
	}

	const cases = 2000
	var in bytes.Buffer
	masks, docs := make([]string, cases), make([][]byte, cases)
	for i := range cases {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		masks[i] = agreedMask(r, 1+r.IntN(3))
		docs[i], _ = json.Marshal(agreedValue(r, 4))
		line, _ := json.Marshal([]any{masks[i], json.RawMessage(docs[i])})
		in.Write(append(line, '\n'))
	}
	cmd := exec.CommandContext(ctx, node, "-e", jsonMask)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != cases {
		t.Fatalf("%d answers, want %d", len(lines), cases)
	}
	failed := 0
	for i, line := range lines {
		ours, err := partial.MustParse(masks[i]).Append(nil, docs[i])
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(ours, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			t.Fatal(err)
		}
		if failed < 5 && !reflect.DeepEqual(a, b) {
			failed++
			t.Errorf("%s of %s: %s, json-mask says %s", masks[i], docs[i], ours, line)
		}
	}
}

var agreedNames = [...]string{"a", "b", "id", "long_name"}

// agreedMask goes depth levels down, in each of its terms.
func agreedMask(r *rand.Rand, depth int) string {
	if r.IntN(5) == 0 && depth > 1 {
		return "*(" + agreedMask(r, depth-1) + ")"
	}
	terms := []string{}
	for _, i := range r.Perm(len(agreedNames))[:1+r.IntN(3)] {
		term := agreedNames[i]
		if depth > 1 {
			switch below := agreedMask(r, depth-1); {
			case strings.Contains(below, ",") || r.IntN(2) == 0:
				term += "(" + below + ")"
			default:
				term += "/" + below
			}
		}
		terms = append(terms, term)
	}
	return strings.Join(terms, ",")
}

// agreedValue is an object of objects with all names, arrays of such in between.
func agreedValue(r *rand.Rand, depth int) any {
	if depth == 0 {
		return []any{1.5, "x", true, 0, ""}[r.IntN(5)]
	}
	if r.IntN(4) == 0 {
		list := make([]any, 1+r.IntN(3))
		for i := range list {
			list[i] = agreedObject(r, depth)
		}
		return list
	}
	return agreedObject(r, depth)
}

func agreedObject(r *rand.Rand, depth int) map[string]any {
	o := map[string]any{}
	for _, name := range agreedNames {
		o[name] = agreedValue(r, depth-1)
	}
	o[fmt.Sprint("other", r.IntN(3))] = agreedValue(r, depth-1)
	return o
}
