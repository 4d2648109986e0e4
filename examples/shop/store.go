package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

// A Store is the shop's database. It counts what it is asked, and nobody else touches
// database/sql, so the counts are the truth about a variant.
type Store struct {
	Products   int
	Categories int
	SideWork   time.Duration // after an order: mail, analytics

	path    string
	rtt     time.Duration // added to every query: stands for a database across a network
	readers *sql.DB
	writer  *sql.DB

	queries, rows, opened atomic.Int64
	sideDone              atomic.Int64
}

// Counts is what a Store was asked since it was opened.
type Counts struct{ Queries, Rows, Opened int64 }

// poolSize is how many connections read at once.
const poolSize = 8

// Open opens the database file at path.
func Open(path string, products int, rtt time.Duration) *Store {
	s := &Store{Products: products, Categories: categoriesOf(products), SideWork: 20 * time.Millisecond, path: path, rtt: rtt}
	s.readers = s.open(poolSize)
	// SQLite has one writer at a time. Several connections that write would wait for each
	// other in its busy handler, which sleeps up to 100 ms between tries.
	s.writer = s.open(1)
	return s
}

// open returns a pool. Its connections are kept: the default of two idle ones would close and
// open them again all the time under load.
func (s *Store) open(size int) *sql.DB {
	db := sql.OpenDB(&connector{s})
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

// connector opens connections and counts them.
type connector struct{ store *Store }

func (c *connector) Connect(context.Context) (driver.Conn, error) {
	c.store.opened.Add(1)
	// The disk is not what is measured: no fsync, for every variant alike.
	options := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(OFF)"}}
	return c.Driver().Open("file:" + c.store.path + "?" + options.Encode())
}

func (c *connector) Driver() driver.Driver { return &sqlite.Driver{} }

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
	if err := s.asked(ctx); err != nil {
		return nil, err
	}
	rows, err := s.readers.QueryContext(ctx, query, args...)
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
	rows, err := db.QueryContext(ctx, query, args...)
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
	err = s.writer.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// WriteFresh is Write by way of a connection of its own.
func (s *Store) WriteFresh(ctx context.Context, query string, args ...any) (n int64, err error) {
	if err := s.asked(ctx); err != nil {
		return 0, err
	}
	db := s.open(1)
	defer db.Close()
	err = db.QueryRowContext(ctx, query, args...).Scan(&n)
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

// copyFile copies the seeded file to one of its own in dir, so that one shop's indexes and writes
// are not another's, and returns its path.
func copyFile(seeded, dir, name string) (path string, err error) {
	from, err := os.Open(seeded)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, name+"-*.sqlite")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return to.Name(), errors.Join(err, to.Close())
}

// removeData removes a database with the log and the index that SQLite keeps beside it.
func removeData(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
}
