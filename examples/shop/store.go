package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"
)

// A Store is the shop's database. It counts what it is asked, and nobody else touches
// database/sql, so the counts are the truth about a variant.
type Store struct {
	Products   int
	Categories int
	SideWork   time.Duration // after an order: mail, analytics

	db      Database
	data    string        // where in db it is
	rtt     time.Duration // added to every query: stands for a database across a network
	readers *sql.DB
	writer  *sql.DB
	// Each query opens a connection, as if nobody knew of pools.
	unpooled bool

	queries, rows, opened atomic.Int64
	sideDone              atomic.Int64
}

// Counts is what a Store was asked since it was opened.
type Counts struct{ Queries, Rows, Opened int64 }

// poolSize is how many connections read at once.
const poolSize = 8

// Open opens the data of one shop.
func Open(db Database, data string, products int, rtt time.Duration) *Store {
	s := &Store{Products: products, Categories: categoriesOf(products), SideWork: 20 * time.Millisecond, db: db, data: data, rtt: rtt}
	s.readers, s.writer = s.open(poolSize), s.open(db.Writers())
	return s
}

// open returns a pool. Its connections are kept: the default of two idle ones would close and
// open them again all the time under load.
func (s *Store) open(size int) *sql.DB {
	db := sql.OpenDB(&connector{s.db.Connector(s.data), &s.opened})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

// Close closes the database; the file stays.
func (s *Store) Close() {
	_ = s.readers.Close()
	_ = s.writer.Close()
}

// Counts returns what was asked so far.
func (s *Store) Counts() Counts {
	return Counts{s.queries.Load(), s.rows.Load(), s.opened.Load()}
}

// connector counts the connections that it opens.
type connector struct {
	driver.Connector
	opened *atomic.Int64
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	c.opened.Add(1)
	return c.Connector.Connect(ctx)
}

// Rows are the rows of one query.
type Rows struct {
	*sql.Rows
	store *Store
	fresh *sql.DB // opened for this query alone
}

// Next counts the rows that are read.
func (r *Rows) Next() bool {
	if !r.Rows.Next() {
		return false
	}
	r.store.rows.Add(1)
	return true
}

// Close also closes a connection that was opened for the query.
func (r *Rows) Close() error {
	err := r.Rows.Close()
	if r.fresh != nil {
		_ = r.fresh.Close()
	}
	return err
}

func (s *Store) asked(ctx context.Context) error {
	s.queries.Add(1)
	if s.rtt == 0 {
		return nil
	}
	select {
	case <-time.After(s.rtt):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Query reads by way of the pool.
func (s *Store) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	if s.unpooled {
		return s.QueryFresh(ctx, query, args...)
	}
	if err := s.asked(ctx); err != nil {
		return nil, err
	}
	rows, err := s.readers.QueryContext(ctx, s.db.Placeholders(query), args...)
	if err != nil {
		return nil, err
	}
	return &Rows{Rows: rows, store: s}, nil
}

// QueryFresh reads by way of a connection that is opened for this query, as programs do that
// know no pool.
func (s *Store) QueryFresh(ctx context.Context, query string, args ...any) (*Rows, error) {
	if err := s.asked(ctx); err != nil {
		return nil, err
	}
	db := s.open(1)
	rows, err := db.QueryContext(ctx, s.db.Placeholders(query), args...)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &Rows{Rows: rows, store: s, fresh: db}, nil
}

// Write changes something and returns the one number that the statement returns.
func (s *Store) Write(ctx context.Context, query string, args ...any) (n int64, err error) {
	if err := s.asked(ctx); err != nil {
		return 0, err
	}
	err = s.writer.QueryRowContext(ctx, s.db.Placeholders(query), args...).Scan(&n)
	return n, err
}

// WriteFresh is Write by way of a connection of its own.
func (s *Store) WriteFresh(ctx context.Context, query string, args ...any) (n int64, err error) {
	if err := s.asked(ctx); err != nil {
		return 0, err
	}
	db := s.open(1)
	defer db.Close()
	err = db.QueryRowContext(ctx, s.db.Placeholders(query), args...).Scan(&n)
	return n, err
}

// Define runs statements of the schema, which are not counted.
func (s *Store) Define(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := s.writer.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Digest is a hash of everything that the workload can change.
func (s *Store) Digest(ctx context.Context) (string, error) {
	h := sha256.New()
	for _, query := range []string{
		"SELECT id, price FROM products ORDER BY id",
		"SELECT id, product_id FROM orders ORDER BY id",
	} {
		rows, err := s.readers.QueryContext(ctx, query)
		if err != nil {
			return "", err
		}
		for rows.Next() {
			var a, b int64
			if err := rows.Scan(&a, &b); err != nil {
				_ = rows.Close()
				return "", err
			}
			fmt.Fprintln(h, a, b)
		}
		if err := rows.Err(); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
