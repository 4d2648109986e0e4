package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the suite must hold: docs/httpcache-conformance.md lists the others, with the reason.
const (
	requiredHeld = 151 // of 157
	optimalHeld  = 77  // of 86
)

// reversed are tests of Age whose expectation RFC 9111 section 5.1 has turned round since this edition,
// and later editions of the suite with it: they hold if this edition says that they do not.
var reversed = []string{
	"age-parse-nonnumeric", "age-parse-negative", "age-parse-float", "age-parse-parameter", "age-parse-numeric-parameter",
	"age-parse-prefix-twoline", "age-parse-dup-0", "age-parse-dup-0-twoline", "age-parse-dup-old",
}

// The public suite behind cache-tests.fyi, as npm has it (http-cache-tests 0.4.5): its server is
// the service, its CLI the client, we are between.
func TestConformance(t *testing.T) {
	suite := suiteDir(t)
	port := freePort(t)
	server := exec.CommandContext(t.Context(), "node", "--no-warnings", "server/server.mjs")
	server.Dir = suite
	server.Env = append(os.Environ(), "npm_config_protocol=http", "npm_config_port="+port, "npm_config_pidfile="+filepath.Join(t.TempDir(), "pid"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	waitFor(t, "127.0.0.1:"+port)

	url, _, _ := startBefore(t, "http://127.0.0.1:"+port, "-stale-if-error", "60s", "-heuristic", "0.1", "-keep-set-cookie",
		"-compress=false") // the suite compares Vary byte for byte
	client := exec.CommandContext(t.Context(), "node", "--no-warnings", "--input-type=module", "-e", runSuite)
	client.Dir = suite
	client.Env = append(os.Environ(), "SUITE_BASE="+url)
	out, err := client.Output()
	if err != nil {
		t.Fatal(err, string(out))
	}
	var score map[string]struct {
		Held, Of int
		Failed   []string
	}
	if err := json.Unmarshal(out[strings.LastIndex(string(out), "\n{")+1:], &score); err != nil {
		t.Fatal(err, string(out))
	}
	required := score["required"]
	required.Failed = slices.DeleteFunc(required.Failed, func(id string) bool { return slices.Contains(reversed, id) })
	if turned := required.Of - required.Held - len(required.Failed); turned != len(reversed) {
		t.Errorf("%d of %d reversed tests of Age hold", turned, len(reversed))
	}
	required.Held = required.Of - len(required.Failed)
	score["required"] = required
	for kind, least := range map[string]int{"required": requiredHeld, "optimal": optimalHeld} {
		s := score[kind]
		t.Logf("%s: %d of %d; not held: %s", kind, s.Held, s.Of, strings.Join(s.Failed, " "))
		if s.Held < least {
			t.Errorf("%s: %d of %d behaviours held, want %d", kind, s.Held, s.Of, least)
		}
	}
}

// runSuite runs every suite but surrogate-control, a field that RFC 9213 has replaced, and
// prints the score as its last line.
const runSuite = `
import { runTests, getResults } from './client/runner.mjs'
import fetch from 'node-fetch'
import tests from './tests/index.mjs'
const log = console.log
console.log = () => {}
await runTests(tests, fetch, false, process.env.SUITE_BASE)
const results = getResults(), score = {}
for (const suite of tests) for (const test of suite.tests) {
  if (test.browser_only) continue
  const s = score[test.kind || 'required'] ??= { Held: 0, Of: 0, Failed: [] }
  s.Of++
  if (results[test.id] === true) s.Held++
  else s.Failed.push(test.id)
}
log('\n' + JSON.stringify(score))
`

// suiteDir finds the suite in NODE_PATH.
func suiteDir(t *testing.T) string {
	t.Helper()
	missing := "no node"
	if _, err := exec.LookPath("node"); err == nil {
		for _, dir := range filepath.SplitList(os.Getenv("NODE_PATH")) {
			suite := filepath.Join(dir, "http-cache-tests")
			if _, err := os.Stat(filepath.Join(suite, "cli.mjs")); err == nil {
				return suite
			}
		}
		missing = "no http-cache-tests in NODE_PATH"
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func waitFor(t *testing.T, addr string) {
	t.Helper()
	for range 100 {
		if res, err := http.Get("http://" + addr + "/"); err == nil {
			res.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("nobody answers at ", addr)
}
