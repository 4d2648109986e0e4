//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startPostgres starts a server of its own, and returns what belongs into DATABASE_URL.
func startPostgres(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s must be in PATH: %v", program, err)
			}
			t.Skipf("needs %s in PATH (Debian: postgresql, in /usr/lib/postgresql/VERSION/bin)", program)
		}
	}
	dir, err := os.MkdirTemp("", "pg") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as := new(syscall.SysProcAttr)
	if os.Getuid() == 0 { // the server refuses to run as root
		const nobody = 65534
		as.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command("initdb", "-D", data, "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
	initdb.SysProcAttr, initdb.Dir, initdb.Env = as, dir, append(os.Environ(), "HOME="+dir)
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := freePort(t)
	var said bytes.Buffer
	server := exec.Command("postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", dir, "-F")
	server.SysProcAttr, server.Dir, server.Stdout, server.Stderr = as, dir, &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // at once
		<-ended
	})
	address := "postgres://shop@127.0.0.1:" + port + "/postgres"
	for {
		_, _, err := must(openDatabase(address)).Describe(t.Context())
		if err == nil {
			return address
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("postgres ended: %v\n%s", err, said.String())
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// schemasOf returns those of shops that are left.
func schemasOf(t *testing.T, address string) (list []string) {
	t.Helper()
	s := Open(must(openDatabase(address)), "public", testProducts, 0)
	defer s.Close()
	rows, err := s.Query(t.Context(), "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' AND nspname NOT IN ('public', 'information_schema')")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		list = append(list, name)
	}
	return list
}

// The same program on PostgreSQL: the same answers, of as many queries, as on SQLite. One server
// for all, for it takes a second to start.
func TestPostgres(t *testing.T) {
	address := startPostgres(t)
	db := must(openDatabase(address))

	t.Run("Alike", func(t *testing.T) {
		run := must(db.Begin())
		defer db.End(run)
		data, err := seedData(t.Context(), db, run, testProducts, 1)
		if err != nil {
			t.Fatal(err)
		}
		var targets []Target
		var variants []*Variant
		for _, name := range []string{"before", "tuned", "peers", "after"} {
			own, err := db.Copy(t.Context(), data, name)
			if err != nil {
				t.Fatal(err)
			}
			s := Open(db, own, testProducts, 0)
			s.SideWork = 0
			v, err := serveVariant(t.Context(), name, s, AllOn(), "127.0.0.1:0", nil)
			if err != nil {
				s.Close()
				t.Fatal(err)
			}
			defer v.Close()
			onFile := shop(t, name, AllOn())
			variants = append(variants, v, onFile)
			targets = append(targets, v.Target(), onFile.Target())
		}
		compared, err := verifyAlike(t.Context(), targets[2:], testProducts, 3, 120)
		if err != nil || compared != 120 {
			t.Fatal(compared, err)
		}
		if _, err := verifyAlike(t.Context(), targets[:2], testProducts, 3, 30); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(variants); i += 2 {
			here, there := variants[i].Store.Counts(), variants[i+1].Store.Counts()
			if here.Queries != there.Queries || here.Rows != there.Rows || here.Queries == 0 {
				t.Errorf("%s: PostgreSQL %+v, SQLite %+v", variants[i].Name, here, there)
			}
		}
	})

	t.Run("Plans", func(t *testing.T) {
		run := must(db.Begin())
		defer db.End(run)
		data, err := seedData(t.Context(), db, run, testProducts, 1)
		if err != nil {
			t.Fatal(err)
		}
		s := Open(db, data, testProducts, 0)
		defer s.Close()
		scans := func(query string, args ...any) bool {
			t.Helper()
			conn, err := s.readers.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.ExecContext(t.Context(), "SET enable_seqscan = off"); err != nil { // tables this small are not worth an index
				t.Fatal(err)
			}
			rows, err := conn.QueryContext(t.Context(), "EXPLAIN "+db.Placeholders(query), args...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			plan := ""
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				plan += line + "\n"
			}
			return strings.Contains(plan, "Seq Scan")
		}
		if !scans(querySales, 1) || !scans("SELECT * FROM reviews WHERE product_id = ?", 1) {
			t.Error("before has an index")
		}
		if err := s.Define(t.Context(), tunedIndexes...); err != nil {
			t.Fatal(err)
		}
		two := []Item{{ID: 1}, {ID: 2}}
		items, itemArgs := in(queryItems, two)
		stars, starArgs := in(queryStars, two)
		for query, args := range map[string][]any{
			queryProduct: {1}, queryReviews: {1}, queryList: {1, 24, 0}, querySales: {1}, items: itemArgs, stars: starArgs,
		} {
			if scans(query, args...) {
				t.Errorf("scans a table: %s", query)
			}
		}
	})

	t.Run("BadNumbers", func(t *testing.T) {
		run := must(db.Begin())
		defer db.End(run)
		data, err := seedData(t.Context(), db, run, 96, 1)
		if err != nil {
			t.Fatal(err)
		}
		v, err := serveVariant(t.Context(), "tuned", Open(db, data, 96, 0), nil, "127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		c := newTestClient(t, v)
		for _, r := range []Request{{"GET", "/products/99999999999", "", 404}, {"PUT", "/products/99999999999/price", "5", 404}} {
			if _, err := c.Do(t.Context(), Action{Requests: []Request{r}}); err != nil {
				t.Error(err)
			}
		}
	})

	// A run, and what it leaves behind: nothing, however it ends.
	t.Run("Run", func(t *testing.T) {
		t.Setenv("DATABASE_URL", address)
		stdout, err := os.CreateTemp(t.TempDir(), "out")
		if err != nil {
			t.Fatal(err)
		}
		defer stdout.Close()
		var out bytes.Buffer
		code := run(t.Context(), []string{"verify", "-products", "96", "-checks", "40"}, nil, &out, stdout, nil)
		if code != exitOK || !strings.Contains(out.String(), "40 of 40 answers equal") {
			text, _ := os.ReadFile(stdout.Name())
			t.Errorf("exit %d: %s\n%s", code, out.String(), text)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if code := run(ctx, []string{"verify", "-products", "96"}, nil, &out, stdout, nil); code != exitInterrupted {
			t.Errorf("interrupted: exit %d", code)
		}
		if left := schemasOf(t, address); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
	})

	t.Run("KilledDriver", func(t *testing.T) {
		t.Setenv("DATABASE_URL", address)
		o, err := parse("verify", []string{"-products", "96"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := seedData(t.Context(), o.db, must(o.db.Begin()), o.products, o.seed)
		if err != nil {
			t.Fatal(err)
		}
		c, err := startChild(t.Context(), o, splitCores(0), data, "after")
		if err != nil {
			t.Fatal(err)
		}
		if left := schemasOf(t, address); len(left) != 2 {
			t.Errorf("schemas %q, want the seed and the child's", left)
		}
		_ = c.in.Close()
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("the child: %v", err)
		}
		if left := schemasOf(t, address); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// What is wrong with an address is said, and no password.
func TestDatabaseURL(t *testing.T) {
	for _, address := range []string{"mysql://root:secret@127.0.0.1/x", "secret", "postgres://u:secret@127.0.0.1:99999/x", "postgres://u:secret@127.0.0.1/x?sslmode=perhaps", "postgres://u:%zzsecret@h/x"} {
		_, err := openDatabase(address)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "DATABASE_URL") {
			t.Errorf("%s: %v", address, err)
		}
	}
	nobody := &url.URL{Scheme: "postgres", User: url.UserPassword("u", "secret"), Host: "127.0.0.1:" + freePort(t), Path: "/x"}
	_, _, err := must(openDatabase(nobody.String())).Describe(t.Context())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Error("nobody listens:", err)
	}
	if db, err := openDatabase(""); err != nil || fmt.Sprintf("%T", db) != "main.sqliteFiles" {
		t.Error(db, err)
	}
}
