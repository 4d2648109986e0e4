package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestDashboard_IsWritten(t *testing.T) {
	want, err := dashboard()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("hotpath.json")
	if err != nil || !bytes.Equal(bytes.TrimSpace(have), want) {
		t.Errorf("hotpath.json is not what the panels say (%v): go run -C examples ./grafana > examples/grafana/hotpath.json", err)
	}
}

func panels() (all []panel) {
	for _, r := range rows() {
		all = append(all, r.panels...)
	}
	return all
}

func TestDashboard_Conventions(t *testing.T) {
	all := panels()
	if len(all) > 28 {
		t.Errorf("%d panels, want at most 28", len(all))
	}
	titles := map[string]bool{}
	for _, p := range all {
		if p.title == "" || p.about == "" || p.unit == "" || len(p.queries) == 0 {
			t.Errorf("%q lacks title, description, unit or query", p.title)
		}
		titles[p.title] = true
		for _, q := range p.queries {
			if q.legend == "" {
				t.Errorf("%q has no legend", p.title)
			}
			for _, selector := range regexp.MustCompile(`[a-z_:]+\{[^}]*\}`).FindAllString(q.expr, -1) {
				if !strings.Contains(selector, of) {
					t.Errorf("%q: %s does not select by job and instance", p.title, selector)
				}
			}
			if strings.Contains(q.expr, "rate(") && !strings.Contains(q.expr, "[$__rate_interval]") {
				t.Errorf("%q: a rate over another interval than $__rate_interval", p.title)
			}
			if (strings.Contains(q.expr, "histogram_quantile") || strings.Contains(q.expr, "_count{")) && !strings.Contains(q.expr, " or ") {
				t.Errorf("%q: only one form of a histogram", p.title)
			}
		}
	}
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	return path
}

func TestPromtool(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "rules.yml"}, {"test", "rules", "rules_test.yml"}, {"check", "config", "prometheus.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// start runs a program until the test ends.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(program), said.String())
		}
	})
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func await(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for range 600 {
		if ready() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("there is still no ", what)
}

func get(url string) (string, error) {
	res, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, b)
	}
	return string(b), err
}

// With the shop under load, every query of every panel gives finite numbers in a real Prometheus; before the
// first request and in an idle minute none fails and none is NaN.
func TestPrometheus(t *testing.T) {
	promtool, prometheus := tool(t, "promtool"), tool(t, "prometheus")
	dir := t.TempDir()
	shop := filepath.Join(dir, "shop")
	if out, err := exec.Command("go", "build", "-o", shop, "../shop").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	addr, admin, server := freeAddr(t), freeAddr(t), freeAddr(t)
	start(t, shop, "serve", "-products", "240", "-addr", addr, "-admin", admin)
	await(t, "shop", func() bool { _, err := get("http://" + admin + "/metrics"); return err == nil })

	rules, err := filepath.Abs("rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]
`, rules, admin), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, prometheus, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+server, "--log.level=error")
	up := func() bool {
		s, err := ask(server, `hotpath_http_requests_in_flight`)
		return err == nil && len(s) > 0
	}
	await(t, "scrape", up)
	queries(t, server, false) // a fresh process

	out, err := exec.Command(shop, "load", "-url", "http://"+addr, "-products", "240", "-rate", "150", "-d", "10s").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	queries(t, server, true)

	text, err := get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(context.Background(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	await(t, "idle interval", func() bool {
		s, err := ask(server, `sum(rate(hotpath_throttle_requests_total[5s]))`)
		return err == nil && len(s) == 1 && s[0] == 0
	})
	queries(t, server, false) // nobody asks any more
}

// queries runs those of every panel; busy: each must have data, unless it shows only what happens.
func queries(t *testing.T, server string, busy bool) {
	t.Helper()
	for _, p := range panels() {
		for _, q := range p.queries {
			expr := strings.NewReplacer("$__rate_interval", "5s", "$job", ".*", "$instance", ".*").Replace(q.expr)
			samples, err := ask(server, expr)
			if err != nil {
				t.Errorf("%s: %s: %v", p.title, expr, err)
			}
			if busy && len(samples) == 0 && !strings.HasSuffix(expr, " > 0") {
				t.Errorf("%s: no data under load: %s", p.title, expr)
			}
			for _, v := range samples {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%s: %v (busy: %t): %s", p.title, v, busy, expr)
				}
			}
		}
	}
}

// ask evaluates a query now.
func ask(server, expr string) (samples []float64, err error) {
	text, err := get("http://" + server + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status string
		Data   struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	for _, r := range answer.Data.Result {
		s, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, err
		}
		samples = append(samples, v)
	}
	return samples, nil
}
