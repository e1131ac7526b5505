package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/wire"
)

// Variables that make this test binary one of the processes that get killed.
const (
	envPart = "AGENT_TEST_PART" // "server" or "agent"
	envDir  = "AGENT_TEST_DIR"
	envAddr = "AGENT_TEST_ADDR"
	envFrom = "AGENT_TEST_FROM" // first number to emit; empty: only send what is in the spool
)

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	switch dir := os.Getenv(envDir); os.Getenv(envPart) {
	case "server":
		err = serverProcess(ctx, dir)
	case "agent":
		err = agentProcess(ctx, dir)
	case "customer":
		err = customerProcess(ctx, dir)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

// fileSecrets keeps secrets in one file. One process uses it at a time.
type fileSecrets struct {
	bustest.Secrets
	path string
}

func (s *fileSecrets) load() (map[string][]byte, error) {
	m := map[string][]byte{}
	b, err := os.ReadFile(s.path)
	if os.IsNotExist(err) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	return m, json.Unmarshal(b, &m)
}

func (s *fileSecrets) Secret(_ context.Context, name string) ([]byte, error) {
	m, err := s.load()
	return m[name], err
}

func (s *fileSecrets) SetSecret(_ context.Context, name string, value []byte) error {
	m, err := s.load()
	if err != nil {
		return err
	}
	m[name] = value
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.path, b, 0o600)
}

// serverProcess is a server with an embedded bus. It appends what it takes to a
// file before it acknowledges, and drops what is in the file already.
func serverProcess(ctx context.Context, dir string) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return err
	}
	b, err := bus.Open(ctx, bus.Config{Secrets: &fileSecrets{path: filepath.Join(dir, "secrets")}, Log: slog.New(slog.DiscardHandler),
		Dir: filepath.Join(dir, "bus"), Listen: os.Getenv(envAddr), TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	if err != nil {
		return err
	}
	defer b.Close()
	if _, err := LoadIdentity(filepath.Join(dir, "agent")); err != nil {
		if err := giveIdentity(ctx, b, dir); err != nil {
			return err
		}
	}
	taken, err := readTaken(filepath.Join(dir, "taken"))
	if err != nil {
		return err
	}
	next := uint64(len(taken)) + 1
	out, err := os.OpenFile(filepath.Join(dir, "taken"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	fmt.Println("ready")
	return b.Consume(ctx, func(_ context.Context, d bus.Delivery) {
		batch, err := wire.DecodeBatch(d.Data)
		if err != nil {
			fmt.Println("error", err)
			return
		}
		if batch.First > next {
			fmt.Println("error gap: got", batch.First, "next is", next, "redelivered", d.Redelivered)
			return
		}
		var lines strings.Builder
		for i, r := range batch.Records {
			if batch.First+uint64(i) < next {
				continue
			}
			fmt.Fprintf(&lines, "%d %s %s%s\n", next, batch.Epoch, r.Digest, r.Data)
			next++
		}
		if _, err := out.WriteString(lines.String()); err != nil {
			fmt.Println("error", err)
			return
		}
		if err := d.Ack(); err == nil {
			fmt.Println("took", next-1)
		}
	})
}

func giveIdentity(ctx context.Context, b *bus.Bus, dir string) error {
	key, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	pub, err := key.PublicKey()
	if err != nil {
		return err
	}
	seed, err := key.Seed()
	if err != nil {
		return err
	}
	jwt, expires, err := b.IssueAgent(ctx, "tenant-1", "agent-1", pub, 0)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return err
	}
	id := Identity{Identity: wire.Identity{Agent: "agent-1", Tenant: "tenant-1", JWT: jwt, ExpiresAt: expires, BusURLs: b.URLs(), CA: string(ca)},
		Server: "https://127.0.0.1:1", Seed: string(seed), IssuedAt: time.Now(), Lifetime: 24 * time.Hour}
	if err := os.MkdirAll(filepath.Join(dir, "agent"), 0o700); err != nil {
		return err
	}
	return id.save(filepath.Join(dir, "agent"))
}

// readTaken returns the numbers that the server took, in order; a line that a
// kill cut short is cut off the file.
func readTaken(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	whole := b[:strings.LastIndexByte(string(b), '\n')+1]
	if len(whole) < len(b) {
		if err := os.Truncate(path, int64(len(whole))); err != nil {
			return nil, err
		}
	}
	if len(whole) == 0 {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(string(whole), "\n"), "\n"), nil
}

// agentProcess is an agent that emits growing numbers from several activities.
func agentProcess(ctx context.Context, dir string) error {
	var from int
	fmt.Sscan(os.Getenv(envFrom), &from)
	o := testObserver{name: "count", run: func(ctx context.Context, h service.Host) error {
		for n := from; n > 0; n++ {
			r := evidence.Record{Class: evidence.ClassActivity, Kind: "n", Time: time.Now().UTC(), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
			if err := h.Emit(ctx, r); err != nil {
				return err
			}
			fmt.Println("stored", n)
		}
		<-ctx.Done()
		return nil
	}}
	return Run(ctx, Config{Dir: filepath.Join(dir, "agent"), Observers: []service.Observer{o}, Software: "test", Log: slog.New(slog.DiscardHandler)})
}

// process is one of the two, started anew after each kill.
type process struct {
	t     *testing.T
	part  string
	env   []string
	lines chan string
	cmd   *exec.Cmd
	read  sync.WaitGroup
}

func (p *process) start(env ...string) {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(append(append(os.Environ(), envPart+"="+p.part), p.env...), env...)
	pipe, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.read.Go(func() {
		for s := bufio.NewScanner(pipe); s.Scan(); {
			p.lines <- p.part + " " + s.Text()
		}
	})
}

// kill ends the process without notice; what it said is in lines then.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.read.Wait()
	p.cmd.Wait()
}

// Server and agent are killed at random, a hundred times, while records flow.
func TestNothingIsLostWhenServerAndAgentAreKilled(t *testing.T) {
	kills := 100
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	ca := bustest.NewAuthority(t)
	for name, b := range map[string][]byte{"ca.pem": ca.PEM, "cert.pem": ca.CertPEM, "key.pem": ca.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	lines := make(chan string, 1<<20)
	env := []string{envDir + "=" + dir, envAddr + "=" + addr}
	server := &process{t: t, part: "server", env: env, lines: lines}
	agent := &process{t: t, part: "agent", env: env, lines: lines}

	stored, took := []int{}, 0
	hear := func(line string) {
		var n int
		switch {
		case strings.Contains(line, "error"):
			t.Errorf("%s", line)
		case strings.HasPrefix(line, "agent stored "):
			fmt.Sscanf(line, "agent stored %d", &n)
			stored = append(stored, n)
		case strings.HasPrefix(line, "server took "):
			took++
		}
	}
	// hearUntil listens until cond holds.
	hearUntil := func(what string, cond func(line string) bool) {
		t.Helper()
		for deadline := time.After(60 * time.Second); ; {
			select {
			case line := <-lines:
				hear(line)
				if cond(line) {
					return
				}
			case <-deadline:
				t.Fatalf("%s: nothing for 60 s after %d stored and %d messages taken", what, len(stored), took)
			}
		}
	}
	drain := func() {
		for {
			select {
			case line := <-lines:
				hear(line)
			default:
				return
			}
		}
	}
	server.start()
	hearUntil("server start", func(line string) bool { return line == "server ready" })
	round := 1
	next := func() string { round++; return fmt.Sprintf("%s=%d", envFrom, round*1_000_000) }
	agent.start(next())
	for range kills {
		switch rand.IntN(3) {
		case 0: // in the middle of a batch being taken
			until := took + 1 + rand.IntN(3)
			hearUntil("messages taken", func(string) bool { return took >= until })
		default:
			until := len(stored) + 1 + rand.IntN(2000)
			hearUntil("records stored", func(string) bool { return len(stored) >= until })
		}
		if rand.IntN(2) == 0 {
			server.kill()
			drain()
			server.start()
		} else {
			agent.kill()
			drain()
			agent.start(next())
		}
	}
	agent.kill()
	drain()
	agent.start() // only sends what is in the spool
	defer agent.kill()
	defer server.kill()

	last := fmt.Sprintf(`{"n":%d}`, stored[len(stored)-1])
	path := filepath.Join(dir, "taken")
	hearUntil("the last record", func(string) bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(b[max(0, len(b)-200_000):]), last)
	})
	checkTaken(t, path, stored)
	t.Logf("%d kills, %d records stored, %d messages taken", kills, len(stored), took)
}

// checkTaken holds the file to: one epoch, growing numbers, all of stored.
func checkTaken(t *testing.T, path string, stored []int) {
	t.Helper()
	taken, err := readTaken(path)
	if err != nil {
		t.Fatal(err)
	}
	have, epoch, before := map[int]bool{}, "", 0
	for i, line := range taken {
		var seq, n int
		var e, data string
		if _, err := fmt.Sscan(line, &seq, &e, &data); err != nil || seq != i+1 {
			t.Fatalf("line %d is %q", i+1, line)
		}
		if epoch == "" {
			epoch = e
		}
		if e != epoch {
			t.Fatalf("the epoch changed at sequence %d", seq)
		}
		if _, err := fmt.Sscanf(data, `{"n":%d}`, &n); err != nil {
			continue // the agent's own state
		}
		if n <= before {
			t.Fatalf("number %d after %d", n, before)
		}
		have[n], before = true, n
	}
	for _, n := range stored {
		if !have[n] {
			t.Fatalf("record %d was accepted and is lost", n)
		}
	}
}
