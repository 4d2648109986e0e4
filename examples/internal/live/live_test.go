package live

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/examples/internal/browsertest"
	"github.com/hotpath-go/hotpath/metrics"
)

func TestPage_IsSmall(t *testing.T) {
	if n := len(page); n > 15<<10 {
		t.Errorf("live.html has %d bytes, want at most 15 KiB", n)
	}
	for _, foreign := range []string{"http://", "https://", "innerHTML", "eval(", "style="} {
		if strings.Contains(strings.ReplaceAll(string(page), "http://www.w3.org/2000/svg", ""), foreign) {
			t.Errorf("live.html has %q", foreign)
		}
	}
}

func TestPage_Header(t *testing.T) {
	h := Handler(prometheus.NewRegistry())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/live", nil))
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error(w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/live", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Error(w.Code, w.Header())
	}
}

// probe frames the page in two widths, waits for three events in each, and tells what it saw.
const probe = `<!doctype html><script>
const seen = { errors: [], widths: {}, tiles: [], all: {} }
const say = () => fetch('/said', { method: 'POST', body: JSON.stringify(seen) })
async function look(width) {
  const frame = document.createElement('iframe')
  frame.width = width; frame.height = 900; frame.src = '/live'
  document.body.append(frame)
  await new Promise(ok => { frame.onload = ok })
  const w = frame.contentWindow, d = frame.contentDocument
  w.addEventListener('error', e => seen.errors.push(e.message))
  d.addEventListener('securitypolicyviolation', e => seen.errors.push(e.violatedDirective + ' ' + e.blockedURI))
  w.console.error = (...a) => seen.errors.push(a.join(' '))
  d.querySelector('details').open = true
  while (!(d.body.dataset.ticks >= 3)) await new Promise(ok => setTimeout(ok, 50))
  seen.widths[width] = d.documentElement.scrollWidth
  seen.tiles = [...d.querySelectorAll('.tile')].map(t => t.textContent)
  for (const row of d.querySelectorAll('#all tr')) seen.all[row.cells[0].textContent] = row.cells[1].textContent
  seen.state = d.querySelector('#state').textContent
  seen.heads = [...d.querySelectorAll('h2')].filter(h => !h.hidden).map(h => h.textContent)
  frame.remove()
}
onload = async () => { try { await look(360); await look(1100) } catch (e) { seen.errors.push(String(e)) } say() }
</script><body></body>`

// service is a small one with traffic, behind the layers whose figures are shown.
func service(t testing.TB) (reg *prometheus.Registry, traffic func()) {
	reg = prometheus.NewRegistry()
	pages, err := cache.New(cache.Config[string, string]{Load: func(_ context.Context, key string) (string, error) {
		if strings.HasPrefix(key, "missing") {
			return "", cache.ErrNotFound
		}
		return strings.Repeat(key+" ", 500), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	small, err := compress.New(compress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	signals, err := metrics.New(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	reg.MustRegister(metrics.Collector("pages", pages.Stats), metrics.Collector("api", small.Stats), metrics.Collector("api", signals.Stats))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pages/{id}", func(w http.ResponseWriter, r *http.Request) {
		page, err := pages.Get(r.Context(), r.PathValue("id"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, page)
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	h := signals.Handler(small.Handler(mux))
	return reg, func() {
		for i := range 40 {
			for _, path := range []string{fmt.Sprint("/pages/", i%7), fmt.Sprint("/pages/missing", i%5), "/nowhere"} {
				r := httptest.NewRequest("GET", path, nil)
				r.Header.Set("Accept-Encoding", "gzip")
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		}
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/broken", nil))
	}
}

// seen is what the probe tells.
type seen struct {
	Errors, Tiles, Heads []string
	Widths               map[string]int
	All                  map[string]string
	State                string
}

// look lets a browser look at a live page, in a narrow window and in a wide one, without an error.
func look(t *testing.T, live http.Handler, around func(http.Handler) http.Handler) (saw seen) {
	t.Helper()
	said := make(chan []byte, 1)
	mux := http.NewServeMux()
	mux.Handle("/live", live)
	mux.HandleFunc("/probe", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, probe)
	})
	mux.HandleFunc("POST /said", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		said <- b
	})
	srv := httptest.NewServer(around(mux))
	defer srv.Close()
	defer srv.CloseClientConnections()
	if err := json.Unmarshal(browsertest.Open(t, srv.URL+"/probe", said), &saw); err != nil {
		t.Fatal(err)
	}
	if len(saw.Errors) > 0 {
		t.Error("the console says", saw.Errors)
	}
	for _, width := range []int{360, 1100} {
		if got := saw.Widths[strconv.Itoa(width)]; got == 0 || got > width {
			t.Errorf("at %d px the page is %d wide", width, got)
		}
	}
	return saw
}

func alone(h http.Handler) http.Handler { return h }

// Of a registry without anything the page says so.
func TestPage_InABrowserWithNothing(t *testing.T) {
	saw := look(t, Handler(prometheus.NewRegistry()), alone)
	if fmt.Sprint(saw.Heads) != "[Nothing of hotpath is registered here.]" || len(saw.All) != 0 || !strings.HasPrefix(saw.State, "live") {
		t.Errorf("the page shows %+v", saw)
	}
}

// Series that are forgotten leave the page, new ones come, and what is missing is said.
func TestPage_InABrowserAsSeriesComeAndGo(t *testing.T) {
	page := Handler(prometheus.NewRegistry())
	saw := look(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "events" {
			page.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range []string{
			`event: start
data: {"series":[{"i":3,"n":"a","t":"g"},{"i":5,"n":"b","t":"g","l":{"x":"y"}}],"times":[1000,2000],"values":[[1,2],[null,7]]}`,
			`event: tick
data: {"t":3000,"series":[],"v":{"3":4},"gone":[]}`,
			`event: tick
data: {"t":4000,"series":[{"i":6,"n":"c","t":"g"}],"v":{"6":9,"5":null},"gone":[3],"error":"boom"}`,
		} {
			fmt.Fprint(w, e, "\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}), alone)
	if got := fmt.Sprint(saw.All); got != "map[b x=y:– c :9]" || !strings.HasSuffix(saw.State, "something is missing: boom") {
		t.Errorf("the page shows %s, %q", got, saw.State)
	}
}

// A browser shows what /metrics says.
func TestPage_InABrowser(t *testing.T) {
	reg, traffic := service(t)
	traffic()
	small, err := compress.New(compress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	saw := look(t, Handler(reg), small.Handler) // a stream must pass a compressor
	heads := strings.Join(saw.Heads, "; ")
	for _, want := range []string{"HTTP · api", "cache · pages", "compress · api", "Routes, by time", "Why not more", "Saved since the start"} {
		if !strings.Contains(heads, want) {
			t.Errorf("no %q among %s", want, heads)
		}
	}
	metrics := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
	compared := 0
	for lines := bufio.NewScanner(metrics.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		base, labels, ok := strings.Cut(name, "{")
		n, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil || n != float64(int(n)) || n > 99 || strings.HasSuffix(base, "_bucket") {
			continue // larger numbers are rounded on the page
		}
		key := base + " " + strings.ReplaceAll(strings.ReplaceAll(labels, `"`, ""), ",", " ")
		if got, there := saw.All[key]; !there || got != value {
			t.Errorf("%s: %q on the page, %s in /metrics", key, got, value)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("only %d values compared", compared)
	}
}

// The picture for the README: HOTPATH_PICTURE names its folder, HOTPATH_PICTURE_OF the page, as by
//
//	shop serve -admin 127.0.0.1:9090 & shop load -rate 300 -d 3m &
//
// A browser takes it when a page is loaded,
// so the page around it has an image that takes its time.
func TestPage_Picture(t *testing.T) {
	dir := os.Getenv("HOTPATH_PICTURE")
	of, err := url.Parse(os.Getenv("HOTPATH_PICTURE_OF"))
	if dir == "" || err != nil || of.Host == "" {
		t.Skip("HOTPATH_PICTURE or HOTPATH_PICTURE_OF is not set")
	}
	live := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(of)
		p.Out.URL.Path = of.Path
	}}
	mux := http.NewServeMux()
	mux.Handle("/live", live)
	mux.HandleFunc("/late", func(http.ResponseWriter, *http.Request) { time.Sleep(3 * time.Second) })
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><style>*{margin:0;border:0}iframe{width:100vw;height:100vh;display:block}</style><iframe src="/live"></iframe><img src="/late" hidden>`)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer srv.CloseClientConnections()
	res, err := srv.Client().Get(srv.URL + "/live?events") // so that there is a history
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, res.Body) }()
	time.Sleep(100 * time.Second)
	for name, scheme := range map[string]string{"live.png": "1", "live-dark.png": "0"} {
		cmd := browsertest.Command(t, "--blink-settings=preferredColorScheme="+scheme, "--hide-scrollbars", "--window-size=1100,1300", "--timeout=10000",
			"--screenshot="+filepath.Join(dir, name), srv.URL)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Error(err, string(out))
		}
	}
}
