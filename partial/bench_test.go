package partial_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// catalogue is a list of n products with 14 fields each, about 535 bytes a product.
func catalogue(n int) []byte {
	b := []byte(`{"items":[`)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":%d,"sku":"SKU-%06d","name":"Product number %d","description":"A fine thing of steel and glass, made in small numbers, that lasts for years. No %d of its kind.",`+
			`"price":{"amount":%d.%02d,"currency":"EUR"},"stock":%d,"rating":%d.%d,"tags":["home","steel","glass"],"category":{"id":%d,"name":"Kitchen"},`+
			`"images":[{"url":"https://img.example.com/%d/1.jpg","width":800,"height":600}],"created":"2024-05-0%dT10:00:00Z","updated":"2025-01-1%dT11:30:00Z","active":%t,"vendor":{"id":%d,"name":"Vendor %d"}}`,
			i, i, i, i, i%900, i%100, i%500, i%5, i%10, i%20, i, i%9+1, i%9, i%7 > 0, i%40, i%40)
	}
	return append(b, `],"next":"token","total":2000}`...)
}

func BenchmarkAppend(b *testing.B) {
	doc := catalogue(2000)
	for _, mask := range []string{"items(id,name,price)", "next", "items(name,category/name)", "items/*"} {
		b.Run(mask, func(b *testing.B) {
			m := partial.MustParse(mask)
			dst := make([]byte, 0, len(doc))
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = m.Append(dst[:0], doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWriter(b *testing.B) {
	doc := catalogue(2000)
	m := partial.MustParse("items(id,name,price)")
	for _, size := range []int{4 << 10, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
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

func BenchmarkParse(b *testing.B) {
	for _, mask := range []string{"items(id,name,price)", "*(a,b,c)/d,e(f,g)/*"} {
		b.Run(mask, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = partial.Parse(mask)
			}
		})
	}
}
