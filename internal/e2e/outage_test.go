package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/store/storetest"
)

// outage is for how long TestDatabaseUnreachable keeps the database away; other
// times with DEMARC_E2E_OUTAGE.
func outage(t *testing.T) time.Duration {
	v := os.Getenv("DEMARC_E2E_OUTAGE")
	if v == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatalf("DEMARC_E2E_OUTAGE is %q, want a duration such as 60s", v)
	}
	return d
}

// cable is a cable to a database that can be cut.
type cable struct {
	address string
	mu      sync.Mutex
	cut     bool       // guarded by mu
	conns   []net.Conn // guarded by mu
}

// newCable puts a cable before the database at dsn and returns the address to
// reach it by.
func newCable(t *testing.T, dsn string) (*cable, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	socket := u.Query().Get("host") + "/.s.PGSQL.5432"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{address: l.Addr().String()}
	t.Cleanup(func() { l.Close(); c.set(true) })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", socket)
			if err != nil || !c.join(near, far) {
				near.Close()
				if err == nil {
					far.Close()
				}
			}
		}
	}()
	return c, fmt.Sprintf("postgres://demarc@%s/postgres?sslmode=disable", c.address)
}

// join joins two connections unless the cable is cut.
func (c *cable) join(near, far net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return false
	}
	c.conns = append(c.conns, near, far)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // ends when either end does
			pair[0].Close()
			pair[1].Close()
		}()
	}
	return true
}

// set cuts the cable or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for _, conn := range c.conns {
			conn.Close()
		}
		c.conns = nil
	}
}

// TestDatabaseUnreachable cuts the server off its database for a while: it says
// so, loses nothing, and goes on by itself.
func TestDatabaseUnreachable(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	c, dsn := newCable(t, storetest.Postgres(t))
	s := newServer(t, "--store", dsn)
	s.tenant("acme")
	dir, root := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	s.enrol("acme", "web-1", dir, root)
	s.demarc("vm", "declare", "web-1", "--tenant", "acme", "--administrator", "anna")
	agent := s.agent(dir, root)
	t.Cleanup(func() { agent.end(t) })
	s.expect("acme", "CLD.6.3.1/C-1.4a", "met", "")

	c.set(true)
	eventually(t, "/healthz says that the store is away", func() string {
		if code, body := s.healthy(); code != 503 {
			return fmt.Sprint(code, " ", body)
		}
		return ""
	})
	passwd := readFile(t, root, "etc/passwd")
	place(t, root, "etc/passwd", passwd+"ghost:x:0:0:spare:/root:/bin/bash\n")
	if code, text := s.post("/v1/tenants", []byte(`{"name":"globex"}`)); code != 503 || !strings.Contains(text, "nothing was changed") {
		t.Errorf("an act without a database is answered with %d %s", code, text)
	}
	after(t, outage(t))
	if s.proc.ended() {
		t.Fatalf("the server ended:\n%s", s.proc.output())
	}

	c.set(false)
	eventually(t, "/healthz says ok", func() string {
		if code, body := s.healthy(); code != 200 {
			return fmt.Sprint(code, " ", body)
		}
		return ""
	})
	s.demarc("tenant", "create", "globex")
	s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	s.expect("acme", "CLD.6.3.1/C-1.4a", "not-met", "ghost")
	s.demarc("ledger", "verify")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tenants, err := api.Collect(s.client.Tenants(ctx))
	if err != nil || len(tenants) != 2 {
		t.Errorf("%d tenants, want 2: %v", len(tenants), err)
	}
}
