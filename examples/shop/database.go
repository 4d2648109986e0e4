package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"
)

// A Database is a kind of database that the shop runs on. All shops of one run are in one place
// of it, a directory or a group of schemas; the data of each is a file or a schema, so that one's
// indexes and writes are not another's.
type Database interface {
	Describe(ctx context.Context) (name, settings string, err error)

	Begin() (run string, err error)
	Create(ctx context.Context, run string) (data string, err error)
	Copy(ctx context.Context, seeded, name string) (data string, err error) // into the same run
	Remove(data string) error                                               // of one shop
	End(data string) error                                                  // removes all of the run that data, or the run itself, names

	Connector(data string) driver.Connector
	Writers() int                        // connections that write at once
	Placeholders(query string) string    // with ? as this database spells it
	Schema(statements []string) []string // the same
	Settle() []string                    // statements after which data can be copied
}

// openDatabase returns SQLite, or the PostgreSQL server at address.
func openDatabase(address string) (Database, error) {
	if address == "" {
		return sqliteFiles{}, nil
	}
	// What is wrong is said without the password that may stand in it.
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("DATABASE_URL: must be like postgres://user@127.0.0.1:5432/name; empty: SQLite")
	}
	return newPostgres(u)
}
