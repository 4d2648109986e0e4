package gqlgen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/hotpath-go/hotpath/batch"
)

const people = 50

// A store in which user n likes a post of each of the next n%3 users. A query takes a millisecond.
type store struct {
	mu      sync.Mutex
	queries map[string]int
	broken  int // id of a user whose likes cannot be read
}

func (s *store) query(name string) {
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queries == nil {
		s.queries = map[string]int{}
	}
	s.queries[name]++
}

func user(id int) *User {
	u := &User{ID: id, Name: fmt.Sprint("user ", id)}
	if id%2 == 1 {
		u.Pinned = post(id + 1)
	}
	return u
}

func post(author int) *Post {
	author %= people
	return &Post{ID: 100 + author, AuthorID: author, Title: fmt.Sprint("by ", author)}
}

func (s *store) Users(context.Context) (all []*User, err error) {
	s.query("users")
	for id := range people {
		all = append(all, user(id))
	}
	return all, nil
}

func (s *store) UsersByID(_ context.Context, ids []int) (map[int]*User, error) {
	s.query("authors")
	found := map[int]*User{}
	for _, id := range ids {
		found[id] = user(id)
	}
	return found, nil
}

func (s *store) LikesByUser(_ context.Context, ids []int) (map[int][]*Post, error) {
	s.query("likes")
	found, failed := map[int][]*Post{}, batch.Errors[int]{}
	for _, id := range ids {
		for n := range id % 3 {
			found[id] = append(found[id], post(id+n+1))
		}
		if id == s.broken && id > 0 {
			failed[id] = errors.New("disk full")
		}
	}
	if len(failed) > 0 {
		return found, failed
	}
	return found, nil
}

func request(query string) *http.Request {
	body, _ := json.Marshal(map[string]string{"query": query})
	r := httptest.NewRequest("POST", "/query", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func ask(h http.Handler, query string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(query))
	return w.Body.String()
}

// answer is what nested is to give.
func answer() string {
	type name struct {
		Name string `json:"name"`
	}
	type liked struct {
		Title  string `json:"title"`
		Author name   `json:"author"`
	}
	type person struct {
		name
		Likes []liked `json:"likes"`
	}
	var all []person
	for id := range people {
		p := person{name{user(id).Name}, []liked{}}
		for n := range id % 3 {
			p.Likes = append(p.Likes, liked{post(id + n + 1).Title, name{user(post(id + n + 1).AuthorID).Name}})
		}
		all = append(all, p)
	}
	b, _ := json.Marshal(map[string]any{"data": map[string]any{"users": all}})
	return string(b)
}

const nested = `{ users { ... on Named { name } likes { title author { name } } } }`

// One query a level, every time, and no time but theirs: the clock is that of the bubble, which stands
// still while anybody has something to do, so that a wait of MaxWait would show.
func TestTasks(t *testing.T) {
	each := map[string]int{"users": 1, "likes": 1, "authors": 1}
	for name, tc := range map[string]struct {
		query   string
		broken  int
		want    string // "" if another test says it
		queries map[string]int
		levels  int
	}{
		"three levels":    {nested, 0, answer(), each, 3},
		"two roots":       {`{ a: users { likes { author { id } } } b: users { likes { author { name } } } }`, 0, "", map[string]int{"users": 2, "likes": 1, "authors": 1}, 3},
		"fragments":       {`{ __typename users { ...f ... on User { likes { author { id } } } } } fragment f on User { __typename likes { __typename title } }`, 0, "", each, 3},
		"skipped":         {`{ users { likes @skip(if: true) { id } } }`, 0, "", map[string]int{"users": 1}, 1},
		"known already":   {`{ users { likes { author { likes { author { name } } } } } }`, 0, "", each, 3},
		"objects inside":  {`{ users { pinned { author { likes { title } } } } }`, 0, "", each, 3},
		"schema":          {`{ __schema { types { name fields { name } } } users { likes { id } } }`, 0, "", map[string]int{"users": 1, "likes": 1}, 2},
		"one that failed": {nested, 7, `{"errors":[{"message":"disk full","path":["users",7,"likes"],"locations":[{"line":1,"column":33}]}],"data":null}`, each, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := &store{broken: tc.broken}
				h, err := Handler(db)
				if err != nil {
					t.Fatal(err)
				}
				h.Use(extension.Introspection{})
				start := time.Now()
				got := ask(h, tc.query)
				if took := time.Since(start); took != time.Duration(tc.levels)*time.Millisecond {
					t.Errorf("%v for %d levels of a millisecond", took, tc.levels)
				}
				if !maps.Equal(db.queries, tc.queries) {
					t.Errorf("queries %v, want %v", db.queries, tc.queries)
				}
				if tc.want != "" && got != tc.want {
					t.Errorf("answer %.300s\nwant %.300s", got, tc.want)
				} else if tc.want == "" && (strings.Contains(got, `"errors"`) || !strings.HasPrefix(got, `{"data":{`)) {
					t.Errorf("answer %.300s", got)
				}
			})
		})
	}
}

// Resolvers that ask somebody else first, and come one after another: as tasks they are waited for.
func TestTasks_OneAfterAnother(t *testing.T) {
	total := func(t *testing.T, make func(Store) (*handler.Server, error)) (n int) {
		synctest.Test(t, func(t *testing.T) {
			db := new(store)
			h, err := make(db)
			if err != nil {
				t.Fatal(err)
			}
			h.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
				if f := graphql.GetFieldContext(ctx); f.IsResolver && f.Parent.Index != nil {
					time.Sleep(time.Duration(*f.Parent.Index) * 10 * time.Microsecond)
				}
				return next(ctx)
			})
			if got := ask(h, nested); got != answer() {
				t.Errorf("answer %.300s", got)
			}
			for _, queries := range db.queries {
				n += queries
			}
		})
		return n
	}
	if n := total(t, Handler); n != 3 {
		t.Errorf("%d queries for three levels", n)
	}
	if n := total(t, server); n <= 3 {
		t.Errorf("%d queries without Tasks: what are they for?", n)
	} else {
		t.Logf("%d queries without Tasks", n)
	}
}

// A resolver that panics is gqlgen's to report, and nobody waits for the fields that it will not have.
func TestTasks_Panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := Handler(new(store))
		if err != nil {
			t.Fatal(err)
		}
		h.SetRecoverFunc(func(_ context.Context, p any) error { return fmt.Errorf("recovered: %v", p) })
		h.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
			if f := graphql.GetFieldContext(ctx); f.IsResolver && f.Parent.Index != nil && *f.Parent.Index == 7 {
				panic("boom")
			}
			return next(ctx)
		})
		start := time.Now()
		got := ask(h, nested)
		if took := time.Since(start); took != 3*time.Millisecond || !strings.HasPrefix(got, `{"errors":[{"message":"recovered: boom"`) {
			t.Errorf("%.300s after %v", got, took)
		}
	})
}

// What a scope remembers would be older than the write.
func TestTasks_Mutation(t *testing.T) {
	ctx := graphql.WithOperationContext(t.Context(), &graphql.OperationContext{Operation: &ast.OperationDefinition{Operation: ast.Mutation}})
	new(Tasks).InterceptOperation(ctx, func(inner context.Context) graphql.ResponseHandler {
		if inner != ctx {
			t.Error("a mutation got a scope")
		}
		return nil
	})
}

// A client that leaves ends the query and all of its tasks: the bubble would see one that stays.
func TestTasks_ClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := Handler(new(store))
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithTimeout(t.Context(), 1500*time.Microsecond)
		defer leave()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(nested).WithContext(ctx))
		if got := w.Body.String(); !strings.Contains(got, "context deadline exceeded") {
			t.Errorf("answer %.300s", got)
		}
		time.Sleep(time.Millisecond) // the store does not look whether anybody still waits
	})
}
