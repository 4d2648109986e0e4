package redisthrottle

import (
	"strings"
	"testing"

	"github.com/redis/rueidis"
)

// D6: New says that a server is a replica, which takes no writes.
func TestD6_NewOnAReplica(t *testing.T) {
	srv := startServer(t)
	srv.do("REPLICAOF", "127.0.0.1", "1")
	if _, err := New(Config{Client: client(t, srv.addr)}); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("of a replica: %v", err)
	}
}

// D6: New says that a client is closed, and nothing of one whose server has gone.
func TestD6_NewWithAClosedClient(t *testing.T) {
	srv := startServer(t)
	for _, single := range []bool{false, true} {
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{srv.addr}, DisableCache: true, ForceSingleClient: single})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if _, err := New(Config{Client: c}); err == nil || err.Error() != "redisthrottle: Client is closed: must be open" {
			t.Errorf("%v", err)
		}
	}
	c := client(t, srv.addr)
	srv.kill()
	for range 3 {
		if _, err := New(Config{Client: c}); err != nil {
			t.Errorf("a server that is gone: %v", err)
		}
	}
}

// D6: on a Cluster New asks every master: whichever denies the script is found. One that is down is not
// an error, and does not hide another that denies.
func TestD6_NewAsksEveryMaster(t *testing.T) {
	servers, addrs := cluster(t)
	try := func() error {
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs, Username: "app", Password: "pw", DisableCache: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = New(Config{Client: c})
		return err
	}
	allow := func(s *server, more ...string) {
		s.do(append([]string{"ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "+@all"}, more...)...)
	}
	for _, s := range servers {
		allow(s)
	}
	if err := try(); err != nil {
		t.Errorf("all will do: %v", err)
	}
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := New(Config{Client: c}); err == nil || !strings.Contains(err.Error(), "Client is closed") {
		t.Errorf("a closed client of a Cluster: %v", err)
	}
	for i, s := range servers {
		allow(s, "-eval", "-evalsha")
		if err := try(); err == nil || !strings.Contains(err.Error(), "redisthrottle: Client's server refuses the script") {
			t.Errorf("master %d denies the script: %v", i, err)
		}
		allow(s)
	}
	allow(servers[0], "-eval", "-evalsha")
	servers[1].kill()
	eventually(t, "New says what one denies while another is down", func() bool { // if it connects in time
		err := try()
		return err != nil && strings.Contains(err.Error(), "refuses the script")
	})
	allow(servers[0])
	if err := try(); err != nil {
		t.Errorf("one is down: %v", err)
	}
	c = client(t, addrs...)
	servers[0].kill()
	servers[2].kill()
	if _, err := New(Config{Client: c}); err != nil {
		t.Errorf("all are down: %v", err)
	}
}
