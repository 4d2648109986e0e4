package partial_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/hotpath-go/hotpath/partial"
)

type Product struct {
	ID    int     `json:"id" db:"id"`
	Name  string  `json:"name" db:"name"`
	Price float64 `json:"price" db:"price"`
	Text  string  `json:"text" db:"description"`
}

type Page struct {
	Items []Product `json:"items"`
	Total int       `json:"total"`
}

var page = Page{[]Product{{1, "Cup", 4.5, "A fine cup."}, {2, "Pot", 20, "A fine pot."}}, 2}

// show prints what a client gets.
func show(h http.Handler, target string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
}

func ExampleNew() {
	f, err := partial.New(partial.Config{})
	if err != nil {
		panic(err)
	}
	products := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(page)
	})
	show(f.Handler(products), "/products?fields=items(id,price)")
	show(f.Handler(products), "/products?fields=total")
	show(f.Handler(products), "/products?fields=items(id")
	// Output:
	// 200 {"items":[{"id":1,"price":4.5},{"id":2,"price":20}]}
	// 200 {"total":2}
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"\"(\" without \")\" at byte 5 of \"items(id\"","parameter":"fields","position":5}
}

// A mask hides nothing: it is the client that leaves it out.
func Example_pitfall() {
	f, err := partial.New(partial.Config{Allow: partial.MustParse("name")})
	if err != nil {
		panic(err)
	}
	user := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"name":"Ada","salary":100}`)
	})
	show(f.Handler(user), "/user?fields=name")
	show(f.Handler(user), "/user")
	// Output:
	// 200 {"name":"Ada"}
	// 200 {"name":"Ada","salary":100}
}

func ExampleFor() {
	f, err := partial.New(partial.Config{Allow: partial.For[Page]()})
	if err != nil {
		panic(err)
	}
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = f.WriteJSON(w, r, http.StatusOK, page)
	}))
	show(h, "/products?fields=items/name")
	show(h, "/products?fields=items/prize")
	// Output:
	// 200 {"items":[{"name":"Cup"},{"name":"Pot"}]}
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"no field \"prize\" in \"items\" at byte 6 of \"items/prize\": did you mean \"price\"?","parameter":"fields","position":6,"field":"items/prize","suggestion":"price"}
}

func ExampleFilter_WriteJSON() {
	f, err := partial.New(partial.Config{})
	if err != nil {
		panic(err)
	}
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := Page{Items: page.Items}
		if partial.FromContext(r.Context()).Has("total") {
			fmt.Println("counting") // the expensive part only on demand
			answer.Total = len(page.Items)
		}
		if err := f.WriteJSON(w, r, http.StatusOK, answer); err != nil {
			http.Error(w, "encoding failed", http.StatusInternalServerError)
		}
	}))
	show(h, "/products?fields=items/name")
	show(h, "/products?fields=items/id,total")
	// Output:
	// 200 {"items":[{"name":"Cup"},{"name":"Pot"}]}
	// counting
	// 200 {"items":[{"id":1},{"id":2}],"total":2}
}

func ExampleColumns() {
	m := partial.MustParse("items(name,price),total")
	columns := partial.Columns[Product](m.Sub("items"), "db", "id")
	fmt.Printf("SELECT %s FROM products\n", strings.Join(columns, ", "))
	// Output:
	// SELECT id, name, price FROM products
}

func ExampleMask_Append() {
	m := partial.MustParse("name,price")
	out, err := m.Append(nil, []byte(`{"price": 1.50, "id": 7, "name": "Cup"}`))
	fmt.Println(string(out), err)
	// Output:
	// {"price":1.50,"name":"Cup"} <nil>
}

// An export of any length passes in constant memory.
func ExampleMask_Writer() {
	w := partial.MustParse("id").Writer(os.Stdout)
	for i := range 3 {
		fmt.Fprintf(w, `{"id":%d,"text":"A long description."}`+"\n", i)
	}
	if err := w.Close(); err != nil { // the last text is complete, or this says where it ends
		panic(err)
	}
	// Output:
	// {"id":0}
	// {"id":1}
	// {"id":2}
}

func ExampleConfig_encode() {
	f, err := partial.New(partial.Config{
		Encode: func(dst []byte, v any) ([]byte, error) { // whole values: goccy, sonic, jsontext ...
			b, err := json.MarshalIndent(v, "", " ")
			return append(dst, b...), err
		},
	})
	if err != nil {
		panic(err)
	}
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = f.WriteJSON(w, r, http.StatusOK, page.Items[:1])
	}))
	show(h, "/?fields=id")
	// Output:
	// 200 [{"id":1}]
}
