package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// sqliteFiles are databases in files of a temporary directory.
type sqliteFiles struct{}

func (sqliteFiles) Describe(context.Context) (name, settings string, err error) {
	return "SQLite", "SQLite, synchronous=OFF", nil
}

func (sqliteFiles) Begin() (run string, err error) { return os.MkdirTemp("", "hotpath-shop-") }

func (sqliteFiles) Create(_ context.Context, run string) (data string, err error) {
	return filepath.Join(run, "seed.sqlite"), nil // the first connection makes it
}

// Copy copies the file.
func (sqliteFiles) Copy(_ context.Context, seeded, name string) (data string, err error) {
	from, err := os.Open(seeded)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.CreateTemp(filepath.Dir(seeded), name+"-*.sqlite")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return to.Name(), errors.Join(err, to.Close())
}

// Remove removes a file with the log and the index that SQLite keeps beside it.
func (sqliteFiles) Remove(data string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(data + suffix)
	}
	return nil
}

func (sqliteFiles) End(data string) error {
	if filepath.Ext(data) == ".sqlite" {
		data = filepath.Dir(data)
	}
	return os.RemoveAll(data)
}

// Writers is one: several connections that write would wait for each other in SQLite's busy
// handler, which sleeps up to 100 ms between tries.
func (sqliteFiles) Writers() int { return 1 }

func (sqliteFiles) Placeholders(query string) string { return query }

func (sqliteFiles) Schema(statements []string) []string { return statements }

// Settle makes one file, without a log beside it, which can be copied.
func (sqliteFiles) Settle() []string { return []string{"PRAGMA wal_checkpoint(TRUNCATE)"} }

func (sqliteFiles) Connector(data string) driver.Connector { return sqliteConnector(data) }

type sqliteConnector string

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	// The disk is not what is measured: no fsync, for every variant alike.
	options := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(OFF)"}}
	return c.Driver().Open("file:" + string(c) + "?" + options.Encode())
}

func (c sqliteConnector) Driver() driver.Driver { return &sqlite.Driver{} }
