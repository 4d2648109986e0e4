// Package gqlgen: users, the posts that they like, and the authors of those, with one query a level
// however long the lists are. [Tasks] is what to copy; the rest is a service as gqlgen wants it.
package gqlgen

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"

	"github.com/hotpath-go/hotpath/batch"
)

//go:generate go tool gqlgen generate

// A User writes posts, and likes some.
type User struct {
	ID     int
	Name   string
	Pinned *Post // nil: none
}

// IsNamed says that a User is a Named of the schema.
func (User) IsNamed() {}

// GetName is what Named asks for.
func (u User) GetName() string { return u.Name }

// A Post has one author.
type Post struct {
	ID, AuthorID int
	Title        string
}

// A Store is the database: each call is one query.
type Store interface {
	Users(ctx context.Context) ([]*User, error)
	UsersByID(ctx context.Context, ids []int) (map[int]*User, error)
	LikesByUser(ctx context.Context, ids []int) (map[int][]*Post, error) // absent: likes none
}

// Handler answers queries from db.
func Handler(db Store) (*handler.Server, error) {
	srv, err := server(db)
	if err != nil {
		return nil, err
	}
	srv.Use(&Tasks{})
	return srv, nil
}

// server loads what is asked for as it comes.
func server(db Store) (*handler.Server, error) {
	users, err1 := batch.NewLoader(batch.LoaderConfig[int, *User]{Fetch: db.UsersByID})
	likes, err2 := batch.NewLoader(batch.LoaderConfig[int, []*Post]{Fetch: db.LikesByUser})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	srv := handler.New(NewExecutableSchema(Config{Resolvers: &resolvers{db, users, likes}}))
	srv.AddTransport(transport.POST{})
	return srv, nil
}

type resolvers struct {
	db    Store
	users *batch.Loader[int, *User]
	likes *batch.Loader[int, []*Post]
}

func (r *resolvers) Query() QueryResolver { return queries{r} }
func (r *resolvers) User() UserResolver   { return userFields{r} }
func (r *resolvers) Post() PostResolver   { return postFields{r} }

type (
	queries    struct{ *resolvers }
	userFields struct{ *resolvers }
	postFields struct{ *resolvers }
)

func (r queries) Users(ctx context.Context) ([]*User, error) { return r.db.Users(ctx) }

func (r userFields) Likes(ctx context.Context, u *User) ([]*Post, error) {
	posts, err := r.likes.Load(ctx, u.ID)
	if errors.Is(err, batch.ErrNotFound) {
		return nil, nil
	}
	return posts, err
}

func (r postFields) Author(ctx context.Context, p *Post) (*User, error) {
	return r.users.Load(ctx, p.AuthorID)
}
