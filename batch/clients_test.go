package batch_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/batch"
)

// node runs a script with a package that must be installed below NODE_PATH. Without them the test is
// skipped, but on the build server it fails.
func node(t *testing.T, module, script string, args ...string) []byte {
	t.Helper()
	miss := t.Skipf
	if os.Getenv("CI") == "true" {
		miss = t.Fatalf
	}
	program, err := exec.LookPath("node")
	if err != nil {
		miss("node is not on PATH: this client is not tested here")
	}
	if _, err := os.Stat(os.Getenv("NODE_PATH") + "/" + module + "/package.json"); os.Getenv("NODE_PATH") == "" || err != nil {
		miss("%s is not below NODE_PATH: this client is not tested here", module)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{script}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, stderr.String())
	}
	return out
}

// graph is a small service in the manner of Microsoft Graph, with its batches.
func graph(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /v1.0/me", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]string{"name": "ä", "query": r.URL.RawQuery, "caller": r.Header.Get("Authorization")})
	})
	mux.HandleFunc("GET /v1.0/users/{id}", func(w http.ResponseWriter, r *http.Request) { reply(w, map[string]string{"id": r.PathValue("id")}) })
	mux.HandleFunc("POST /v1.0/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})
	mux.HandleFunc("GET /v1.0/photo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg")
		_, _ = w.Write([]byte("\xff\xd8\x00\x01"))
	})
	e := newEndpoint(t, batch.Config{Path: "/v1.0/$batch"})
	h := e.Handler(mux)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/$batch" { // PnP finds the version in the URLs of https hosts only
			r.URL.Path = "/v1.0/$batch"
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestClients_MicrosoftGraph(t *testing.T) {
	out := node(t, "@microsoft/microsoft-graph-client", "testdata/graph.js", graph(t).URL)
	var got map[string][3]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var me map[string]string
	if got["1"][0] != 200.0 || got["1"][1] != "application/json" || json.Unmarshal([]byte(got["1"][2].(string)), &me) != nil || me["name"] != "ä" || me["query"] != "$select=name&$top=1" {
		t.Errorf("%v", got["1"])
	}
	if got["2"][0] != 201.0 || got["2"][2] != `{"a":"ä"}` {
		t.Errorf("%v", got["2"])
	}
	if got["3"][0] != 404.0 {
		t.Errorf("%v", got["3"])
	}
	// The body of an image reaches its caller as base64 text.
	if got["4"][0] != 200.0 || got["4"][1] != "image/jpeg" || got["4"][2] != hex.EncodeToString([]byte("/9gAAQ==")) {
		t.Errorf("%v", got["4"])
	}
}

func TestClients_PnP(t *testing.T) {
	out := node(t, "@pnp/graph", "testdata/pnp.mjs", graph(t).URL, os.Getenv("NODE_PATH"))
	var got struct {
		Me, User map[string]string
		Missing  int
	}
	if err := json.Unmarshal(out, &got); err != nil || got.Me["name"] != "ä" || got.Me["caller"] != "Bearer token" || got.User["id"] != "7" || got.Missing != 404 {
		t.Errorf("%v: %s", err, out)
	}
}
