package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"
	"github.com/valyala/fastjson"

	"github.com/hotpath-go/hotpath/partial"
)

// A list page of 2,000 products with 14 fields each, 1.07 MB, cut to what a phone shows. The peers
// are written by hand for the one mask that they are asked for; "any" is what JSON middleware
// does: decode to any, cut, encode. gjson does not validate what it skips, as we do not; the
// others do.

func oneProduct(b []byte, i int) []byte {
	return fmt.Appendf(b, `{"id":%d,"sku":"SKU-%06d","name":"Product number %d","description":"%s",`+
		`"price":%d.%02d,"currency":"EUR","stock":%d,"rating":%d.%d,"tags":["home","steel","glass"],"category":{"id":%d,"name":"Kitchen"},`+
		`"images":[{"url":"https://img.example.com/%d/1.jpg","width":800,"height":600}],"created":"2024-05-0%dT10:00:00Z","active":%t,"vendor":{"id":%d,"name":"Vendor %d","country":"DE"}}`,
		i, i, i, description(i), i%900, i%100, i%500, i%5, i%10, i%20, i, i%9+1, i%7 > 0, i%40, i%40)
}

// description is text as compressors know it: words in no order.
func description(i int) []byte {
	words := strings.Fields("a fine thing of steel and glass made in small numbers that lasts for years with care by hand from old wood or stone light heavy round long blue green for every day and table kitchen garden house")
	r := rand.New(rand.NewPCG(uint64(i), 5))
	var text []byte
	for range 18 {
		text = append(append(text, words[r.IntN(len(words))]...), ' ')
	}
	return text
}

func productList(n int) []byte {
	b := []byte(`{"items":[`)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = oneProduct(b, i)
	}
	return append(b, `],"next":"token","total":2000}`...)
}

func indented(doc []byte) []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, doc, "", "  "); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// A filter cuts doc to one mask.
type filter func(dst, doc []byte) ([]byte, error)

func byMask(mask string) filter { return partial.MustParse(mask).Append }

// keep is a mask for those who have none: nil below a name keeps all of it.
type keep map[string]keep

func (k keep) cut(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(k))
		for name, below := range k {
			if member, ok := v[name]; ok {
				if below != nil {
					member = below.cut(member)
				}
				out[name] = member
			}
		}
		return out
	case []any:
		for i := range v {
			v[i] = k.cut(v[i])
		}
	}
	return v
}

func byAny(k keep) filter {
	return func(dst, doc []byte) ([]byte, error) {
		var v any
		if err := json.Unmarshal(doc, &v); err != nil {
			return nil, err
		}
		out, err := json.Marshal(k.cut(v))
		return append(dst, out...), err
	}
}

func byFastjson(k keep) filter {
	var p fastjson.Parser
	var write func(dst []byte, v *fastjson.Value, k keep) []byte
	write = func(dst []byte, v *fastjson.Value, k keep) []byte {
		switch {
		case k == nil:
			return v.MarshalTo(dst)
		case v.Type() == fastjson.TypeArray:
			items, _ := v.Array()
			dst = append(dst, '[')
			for i, item := range items {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = write(dst, item, k)
			}
			return append(dst, ']')
		}
		o, err := v.Object()
		if err != nil {
			return append(dst, "null"...)
		}
		dst = append(dst, '{')
		first := true
		o.Visit(func(key []byte, v *fastjson.Value) {
			below, ok := k[string(key)]
			if !ok {
				return
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(append(append(dst, '"'), key...), `":`...)
			dst = write(dst, v, below)
		})
		return append(dst, '}')
	}
	return func(dst, doc []byte) ([]byte, error) {
		v, err := p.ParseBytes(doc)
		if err != nil {
			return nil, err
		}
		return write(dst, v, k), nil
	}
}

func byGjson(k keep) filter {
	var write func(dst []byte, r gjson.Result, k keep) []byte
	write = func(dst []byte, r gjson.Result, k keep) []byte {
		if k == nil {
			return append(dst, r.Raw...)
		}
		first, array := true, r.IsArray()
		comma := func() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
		}
		if array {
			dst = append(dst, '[')
		} else {
			dst = append(dst, '{')
		}
		r.ForEach(func(key, v gjson.Result) bool {
			if array {
				comma()
				dst = write(dst, v, k)
				return true
			}
			if below, ok := k[key.Str]; ok {
				comma()
				dst = append(append(dst, key.Raw...), ':')
				dst = write(dst, v, below)
			}
			return true
		})
		if array {
			return append(dst, ']')
		}
		return append(dst, '}')
	}
	return func(dst, doc []byte) ([]byte, error) { return write(dst, gjson.ParseBytes(doc), k), nil }
}

func byJsontext(k keep) filter {
	var d jsontext.Decoder
	var r bytes.Reader
	var write func(dst []byte, k keep) ([]byte, error)
	write = func(dst []byte, k keep) ([]byte, error) {
		if k == nil {
			v, err := d.ReadValue()
			return append(dst, v...), err
		}
		switch d.PeekKind() {
		case '{':
			_, _ = d.ReadToken()
			dst = append(dst, '{')
			first := true
			for d.PeekKind() != '}' {
				name, err := d.ReadValue()
				if err != nil {
					return nil, err
				}
				below, ok := k[string(name[1:len(name)-1])]
				if !ok {
					if err := d.SkipValue(); err != nil {
						return nil, err
					}
					continue
				}
				if !first {
					dst = append(dst, ',')
				}
				first = false
				dst = append(append(dst, name...), ':')
				if dst, err = write(dst, below); err != nil {
					return nil, err
				}
			}
			_, err := d.ReadToken()
			return append(dst, '}'), err
		case '[':
			_, _ = d.ReadToken()
			dst = append(dst, '[')
			for first := true; d.PeekKind() != ']'; first = false {
				if !first {
					dst = append(dst, ',')
				}
				var err error
				if dst, err = write(dst, k); err != nil {
					return nil, err
				}
			}
			_, err := d.ReadToken()
			return append(dst, ']'), err
		}
		return append(dst, "null"...), d.SkipValue()
	}
	return func(dst, doc []byte) ([]byte, error) {
		r.Reset(doc)
		d.Reset(&r)
		return write(dst, k)
	}
}

type maskCase struct {
	name, mask string
	keep       keep
	doc        []byte
}

func maskCases() []maskCase {
	doc := productList(2000)
	shown := keep{"items": {"id": nil, "name": nil, "price": nil}}
	nested := keep{"items": {"name": nil, "category": {"name": nil}, "images": {"url": nil}}}
	return []maskCase{
		{"list", "items(id,name,price)", shown, doc},
		{"list indented", "items(id,name,price)", shown, indented(doc)},
		{"nested", "items(name,category/name,images/url)", nested, doc},
		{"under 1 percent", "next,total", keep{"next": nil, "total": nil}, doc},
		{"one object", "id,name,price", keep{"id": nil, "name": nil, "price": nil}, oneProduct(nil, 7)},
	}
}

func filters(c maskCase) map[string]filter {
	return map[string]filter{"hotpath": byMask(c.mask), "any": byAny(c.keep), "fastjson": byFastjson(c.keep), "gjson": byGjson(c.keep), "jsontext": byJsontext(c.keep)}
}

// The same work: what each makes of a document is the same JSON.
func TestPartial_SameWork(t *testing.T) {
	for _, c := range maskCases() {
		var want any
		for _, name := range []string{"any", "hotpath", "fastjson", "gjson", "jsontext"} {
			out, err := filters(c)[name](nil, c.doc)
			if err != nil {
				t.Fatalf("%s, %s: %v", c.name, name, err)
			}
			var v any
			if err := json.Unmarshal(out, &v); err != nil {
				t.Fatalf("%s, %s: %v", c.name, name, err)
			}
			if want == nil {
				want = v
			}
			if fmt.Sprint(v) != fmt.Sprint(want) {
				t.Errorf("%s: %s makes something else of it", c.name, name)
			}
		}
	}
}

func BenchmarkPartial_Append(b *testing.B) {
	for _, c := range maskCases() {
		for _, name := range []string{"hotpath", "any", "fastjson", "gjson", "jsontext"} {
			f := filters(c)[name]
			b.Run(c.name+"/"+name, func(b *testing.B) {
				dst := make([]byte, 0, len(c.doc))
				b.SetBytes(int64(len(c.doc)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f(dst, c.doc); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Ratios of the least times of many turns, each filter in its turn: what else runs on the machine
// falls on all of them. "any x" is how many times our time decode, cut and encode takes.
func BenchmarkPartial_Ratios(b *testing.B) {
	for _, c := range maskCases() {
		b.Run(c.name, func(b *testing.B) {
			names := []string{"hotpath", "any", "fastjson", "gjson", "jsontext"}
			fs, least, dst := filters(c), map[string]time.Duration{}, make([]byte, 0, len(c.doc))
			times := 1 + 20_000/len(c.doc)
			for b.Loop() {
				for _, name := range names {
					start := time.Now()
					for range times {
						if _, err := fs[name](dst, c.doc); err != nil {
							b.Fatal(err)
						}
					}
					if took := time.Since(start); least[name] == 0 || took < least[name] {
						least[name] = took
					}
				}
			}
			for _, name := range names[1:] {
				b.ReportMetric(float64(least[name])/float64(least["hotpath"]), name+"-x")
			}
			b.ReportMetric(float64(least["hotpath"])/float64(times)/1e3, "us")
		})
	}
}

func BenchmarkPartial_Writer(b *testing.B) {
	doc := productList(2000)
	m := partial.MustParse("items(id,name,price)")
	for _, size := range []int{4 << 10, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				w := m.Writer(io.Discard)
				for i := 0; i < len(doc); i += size {
					_, _ = w.Write(doc[i:min(i+size, len(doc))])
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// 100 MB in 32 KiB Writes: the live heap must not follow.
func TestPartial_StreamMemory(t *testing.T) {
	piece := append(bytes.Repeat([]byte(`{"id":1,"name":"x","sku":[1,{"y":"z"}]},`), 800), ' ')
	m := partial.MustParse("items(id,name)")
	live := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before, most := live(), uint64(0)
	w := m.Writer(io.Discard)
	_, _ = io.WriteString(w, `{"items":[`)
	for i := range 100 << 20 / len(piece) {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			most = max(most, live())
		}
	}
	_, _ = io.WriteString(w, `null]}`)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if most > before+128<<10 {
		t.Errorf("live heap grows by %d KiB, want at most 128", (most-before)>>10)
	}
}

func BenchmarkPartial_Parse(b *testing.B) {
	b.Run("hotpath", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = partial.Parse("items(id,name,price)")
		}
	})
	b.Run("url.ParseQuery", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = url.ParseQuery("page=1&size=20&fields=items")
		}
	})
	worst := map[string]string{
		"names":    strings.Repeat("abcdefghijklmno,", 255) + "a",
		"distinct": manyNames(255),
		"stars":    strings.Repeat("*(a,b)/", 10) + "*(" + manyNames(20) + ")," + manyNames(30),
		"escapes":  strings.Repeat(`\a\b\c\d\e\f\g,`, 255) + "a",
		"refused":  strings.Repeat("a,", 2048)[:4095] + "(",
		"groups":   strings.Repeat("a(b,c)/", 30) + "d",
	}
	for name, text := range worst {
		b.Run("worst "+name, func(b *testing.B) {
			for b.Loop() {
				_, _ = partial.Parse(text)
			}
		})
	}
	doc := productList(8)[:4096-40]
	doc = append(doc[:bytes.LastIndex(doc, []byte(`},{"id"`))], `}]}`...)
	b.Run("json.Unmarshal of 4 KiB", func(b *testing.B) {
		for b.Loop() {
			var v any
			if err := json.Unmarshal(doc, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func manyNames(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("a_name_of_%05d", i*7919%10007)
	}
	return strings.Join(all, ",")
}

func BenchmarkPartial_Handler(b *testing.B) {
	f, err := partial.New(partial.Config{})
	if err != nil {
		b.Fatal(err)
	}
	doc := oneProduct(nil, 7)
	doc = append(append(append(append([]byte(`[`), doc...), ','), doc...), ']')
	out := &nowhere{http.Header{}}
	run := func(name, target string, h http.Handler) {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", target, nil)
			b.ReportAllocs()
			for b.Loop() {
				clear(out.h)
				h.ServeHTTP(out, r)
			}
		})
	}
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	three := "/products?page=3&size=20&sort=price"
	run("no mask/bare", three, nothing)
	run("no mask/hotpath", three, f.Handler(nothing))
	run("no mask/r.URL.Query().Get", three, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = r.URL.Query().Get("fields") }))
	run("1 KB masked/bare", three+"&fields=id,name,price", static(doc))
	run("1 KB masked/hotpath", three+"&fields=id,name,price", f.Handler(static(doc)))
}

func BenchmarkPartial_ThenGzip(b *testing.B) {
	doc := productList(2000)
	m := partial.MustParse("items(id,name,price)")
	zw, _ := gzip.NewWriterLevel(io.Discard, 6)
	b.Run("everything", func(b *testing.B) {
		for b.Loop() {
			zw.Reset(io.Discard)
			_, _ = zw.Write(doc)
			_ = zw.Close()
		}
	})
	b.Run("cut", func(b *testing.B) {
		dst := make([]byte, 0, len(doc))
		for b.Loop() {
			zw.Reset(io.Discard)
			out, err := m.Append(dst, doc)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = zw.Write(out)
			_ = zw.Close()
		}
	})
}
