package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
)

// kills is how often TestKilledAtRandom kills; more with DEMARC_E2E_KILLS.
func kills(t *testing.T) int {
	v := os.Getenv("DEMARC_E2E_KILLS")
	if v == "" {
		return 5
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("DEMARC_E2E_KILLS is %q, want a number from 1", v)
	}
	return n
}

// load makes tenants as fast as one caller can, and keeps which the server said
// are made.
type load struct {
	mu   sync.Mutex
	made []string // guarded by mu
}

func (l *load) run(ctx context.Context, c *api.Client, caller int) {
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("t%d-%d", caller, i)
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := c.CreateTenant(call, api.NewTenant{Name: name})
		cancel()
		if err == nil {
			l.mu.Lock()
			l.made = append(l.made, name)
			l.mu.Unlock()
		}
	}
}

// TestKilledAtRandom kills server and agent without warning while acts and
// facts flow. Afterwards the ledger is whole; what was answered is there; each
// act has exactly one entry and each entry its act; and the agent's facts
// arrive as if nothing had happened.
func TestKilledAtRandom(t *testing.T) {
	s := newServer(t)
	s.tenant("acme")
	dir, root := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	s.enrol("acme", "web-1", dir, root)
	s.demarc("vm", "declare", "web-1", "--tenant", "acme", "--administrator", "anna")
	agent := s.agent(dir, root)
	t.Cleanup(func() { agent.end(t) })

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var l load
	var wg sync.WaitGroup
	for caller := range 2 {
		wg.Go(func() { l.run(ctx, s.client, caller) })
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d kills, seed %d", kills(t), seed)
	random := rand.New(rand.NewPCG(seed, 0))
	passwd := readFile(t, root, "etc/passwd")
	for i := range kills(t) {
		place(t, root, "etc/passwd", fmt.Sprintf("%su%d:x:%d:100::/:/usr/sbin/nologin\n", passwd, i, 3000+i))
		after(t, time.Duration(random.IntN(600))*time.Millisecond)
		if random.IntN(3) == 0 {
			agent.kill()
			agent = s.agent(dir, root)
			continue
		}
		s.proc.kill()
		s.start()
	}
	stop()
	wg.Wait()
	if len(l.made) == 0 {
		t.Fatal("no act succeeded in between")
	}

	s.demarc("ledger", "verify")
	actsAndEntries(t, s, l.made)
	place(t, root, "etc/passwd", passwd+"ghost:x:0:0:spare:/root:/bin/bash\n")
	s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	s.expect("acme", "CLD.6.3.1/C-1.4a", "not-met", "ghost")
	place(t, root, "etc/passwd", passwd)
	s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	s.expect("acme", "CLD.6.3.1/C-1.4a", "met", "")
	if out := s.demarc("ledger", "bundle"); out == "" {
		t.Error("the bundle is empty")
	}
}

// actsAndEntries compares the tenants with the entries that say that they were made.
func actsAndEntries(t *testing.T, s *server, made []string) {
	t.Helper()
	tenants, err := api.Collect(s.client.Tenants(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := api.Collect(s.client.LedgerEntries(t.Context(), api.LedgerFilter{Action: "tenant.create"}))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range entries {
		count[e.Subject]++
	}
	names := map[string]bool{}
	for _, x := range tenants {
		names[x.Name] = true
		if n := count["tenant/"+x.ID]; n != 1 {
			t.Errorf("tenant %s has %d entries, want 1", x.Name, n)
		}
	}
	if len(entries) != len(tenants) {
		t.Errorf("%d entries for %d tenants", len(entries), len(tenants))
	}
	for _, name := range made {
		if !names[name] {
			t.Errorf("tenant %s was answered and is not there", name)
		}
	}
	t.Logf("%d tenants, %d of them answered", len(tenants), len(made))
}
