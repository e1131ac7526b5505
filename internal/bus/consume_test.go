package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/wire"
)

func TestRetryHoldsBackWhatTheAgentSentLater(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	a := connected(t, b, ca, "tenant-a", "agent-1")
	other := connected(t, b, ca, "tenant-a", "agent-2")
	for i := range 5 {
		a.publish(t, fmt.Sprint(i))
	}
	order := make(chan string, 100)
	otherCame := make(chan struct{})
	var tries int
	consume(t, b, func(d bus.Delivery) {
		if d.Agent == "agent-2" {
			close(otherCame)
			d.Ack()
			return
		}
		if string(d.Data) == "1" {
			if tries++; tries < 3 {
				if tries == 2 && !d.Redelivered {
					t.Error("the second try does not say that it is one")
				}
				if err := d.Retry(time.Millisecond); err != nil {
					t.Error(err)
				}
				return
			}
			<-otherCame // another agent is not held back
		}
		order <- string(d.Data)
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
		if err := d.Ack(); !errors.Is(err, bus.ErrDecided) {
			t.Errorf("decided twice: %v", err)
		}
	})
	other.publish(t, "x")
	for i := range 5 {
		if got := receive(t, order); got != fmt.Sprint(i) {
			t.Errorf("%s where %d is next", got, i)
		}
	}
}

func TestPoisonIsRejectedCountedAndGone(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	a := connected(t, b, ca, "tenant-a", "agent-1")
	for _, s := range []string{"poison", "panic", "good"} {
		a.publish(t, s)
	}
	got := make(chan string, 10)
	consume(t, b, func(d bus.Delivery) {
		got <- string(d.Data)
		switch string(d.Data) {
		case "poison":
			d.Reject("it is poison")
		case "panic":
			panic("cannot stand it")
		default:
			d.Ack()
		}
	})
	for range 3 {
		receive(t, got)
	}
	waitFor(t, func() bool {
		st, err := b.Stats(t.Context())
		return err == nil && st.Waiting == 0 && st.Rejected == 2
	})
}

// What was handed out and not decided comes again, in order, before anything new.
func TestRestartOfTheConsumerBeginsWithTheUndecided(t *testing.T) {
	everyBus(t, func(t *testing.T, ca *bustest.Authority, cfg bus.Config) {
		b := bustest.Open(t, cfg)
		a := connected(t, b, ca, "tenant-a", "agent-1")
		for i := range 10 {
			a.publish(t, fmt.Sprint(i))
		}
		got := make(chan bus.Delivery, 100)
		stop := consume(t, b, func(d bus.Delivery) {
			if string(d.Data) == "0" || string(d.Data) == "4" {
				d.Ack()
			}
			got <- d
		})
		for range 10 {
			receive(t, got)
		}
		stop()
		b.Close()
		b = bustest.Open(t, cfg)
		waitFor(t, func() bool { return a.connect(b, ca) == nil })
		t.Cleanup(a.nc.Close)
		a.publish(t, "10")
		consume(t, b, func(d bus.Delivery) { d.Ack(); got <- d })
		for _, want := range []string{"1", "2", "3", "5", "6", "7", "8", "9", "10"} {
			if d := receive(t, got); string(d.Data) != want {
				t.Errorf("%s where %s is next", d.Data, want)
			} else if want == "1" && !d.Redelivered {
				t.Error("the redelivery does not say that it is one")
			}
		}
	})
}

// A server may be killed while it deletes its predecessor's consumer. What is
// left of that one must not be taken for what the next has handed out.
func TestRemainsOfAConsumerHoldNothingBack(t *testing.T) {
	ca := bustest.NewAuthority(t)
	cfg := bustest.Config(t, ca)
	b := bustest.Open(t, cfg)
	a := connected(t, b, ca, "tenant-a", "agent-1")
	a.publish(t, "0")
	got := make(chan bus.Delivery, 10)
	stop := consume(t, b, func(d bus.Delivery) { got <- d })
	receive(t, got)
	stop()
	b.Close()
	sums, err := filepath.Glob(filepath.Join(cfg.Dir, "jetstream/*/streams/RECORDS/obs/*/meta.sum"))
	if err != nil || len(sums) != 1 {
		t.Fatalf("%v, %v", sums, err)
	}
	if err := os.Remove(sums[0]); err != nil {
		t.Fatal(err)
	}
	b = bustest.Open(t, cfg)
	consume(t, b, func(d bus.Delivery) { d.Ack(); got <- d })
	receive(t, got)
}

// A decision may come long after the handler has returned, as when an event
// store has not yet written to disk.
func TestLateDecisions(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	a := connected(t, b, ca, "tenant-a", "agent-1")
	got := make(chan bus.Delivery, 10)
	consume(t, b, func(d bus.Delivery) { got <- d })
	a.publish(t, "first")
	a.publish(t, "second")
	first, second := receive(t, got), receive(t, got)
	if err := second.Ack(); err != nil {
		t.Error(err)
	}
	if err := first.Retry(0); err != nil {
		t.Error(err)
	}
	again := receive(t, got)
	if string(again.Data) != "first" || !again.Redelivered {
		t.Errorf("%q came again", again.Data)
	}
	if err := again.Ack(); err != nil {
		t.Error(err)
	}
	waitFor(t, func() bool { st, err := b.Stats(t.Context()); return err == nil && st.Waiting == 0 })
}

func TestFullStreamRefusesAndForgetsNothing(t *testing.T) {
	ca := bustest.NewAuthority(t)
	cfg := bustest.Config(t, ca)
	cfg.MaxWaitingPerAgent = 5
	b := bustest.Open(t, cfg)
	a := connected(t, b, ca, "tenant-a", "agent-1")
	other := connected(t, b, ca, "tenant-a", "agent-2")
	for i := range 5 {
		a.publish(t, fmt.Sprint(i))
	}
	m, err := a.nc.Request(wire.RecordsSubject("agent-1"), []byte("5"), 10*time.Second)
	if err != nil || !strings.Contains(string(m.Data), `"error"`) {
		t.Fatalf("the sixth message: %v, %v", m, err)
	}
	other.publish(t, "the others have room")
	got := make(chan bus.Delivery, 10)
	consume(t, b, func(d bus.Delivery) { d.Ack(); got <- d })
	for range 6 {
		receive(t, got)
	}
	waitFor(t, func() bool { st, err := b.Stats(t.Context()); return err == nil && st.Waiting == 0 })
	a.publish(t, "5")
	if d := receive(t, got); string(d.Data) != "5" {
		t.Errorf("got %q", d.Data)
	}
}

func TestOversizeMessageIsRefused(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	a := connected(t, b, ca, "tenant-a", "agent-1")
	a.publish(t, strings.Repeat("x", wire.MaxMessageBytes))
	if _, err := a.nc.Request(wire.RecordsSubject("agent-1"), make([]byte, wire.MaxMessageBytes+1), time.Second); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("got %v", err)
	}
}

// Two servers on one bus: one consumes, the other takes over.
func TestAnotherServerTakesOver(t *testing.T) {
	ca := bustest.NewAuthority(t)
	cfg := newExternal(t, ca).config()
	one, two := bustest.Open(t, cfg), bustest.Open(t, cfg)
	a := connected(t, one, ca, "tenant-a", "agent-1")
	type taken struct{ by, data string }
	got := make(chan taken, 100)
	handler := func(by string) func(bus.Delivery) {
		return func(d bus.Delivery) { d.Ack(); got <- taken{by, string(d.Data)} }
	}
	stop := consume(t, one, handler("one"))
	a.publish(t, "a")
	if x := receive(t, got); x != (taken{"one", "a"}) {
		t.Errorf("got %v", x)
	}
	consume(t, two, handler("two"))
	a.publish(t, "b")
	if x := receive(t, got); x != (taken{"one", "b"}) {
		t.Errorf("got %v", x)
	}
	stop()
	a.publish(t, "c")
	if x := receive(t, got); x != (taken{"two", "c"}) {
		t.Errorf("got %v", x)
	}

	// Both hear of events, and both agree on the keys.
	heard := make(chan string, 10)
	cancel, err := two.Subscribe("posture.*", func(topic string, data []byte) { heard <- topic + "=" + string(data) })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if err := one.Publish("posture.tenant-a", []byte("changed")); err != nil {
		t.Fatal(err)
	}
	if x := receive(t, heard); x != "posture.tenant-a=changed" {
		t.Errorf("heard %s", x)
	}
}

// An external server is killed again and again while agents publish; whatever
// was acknowledged arrives, in order.
func TestExternalServerIsKilledAndLosesNothing(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 3
	}
	ca := bustest.NewAuthority(t)
	e := newExternal(t, ca)
	b := bustest.Open(t, e.config())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const agents = 4
	var mu sync.Mutex
	acked, next, total := map[string]int{}, map[string]int{}, 0
	progress := make(chan struct{}, 1)
	consume(t, b, func(d bus.Delivery) {
		var n int
		fmt.Sscan(string(d.Data), &n)
		mu.Lock()
		if n > next[d.Agent] {
			t.Errorf("%s: %d where %d is next", d.Agent, n, next[d.Agent])
		}
		next[d.Agent] = max(next[d.Agent], n+1)
		mu.Unlock()
		d.Ack()
	})
	var publishers sync.WaitGroup
	for i := range agents {
		a := connected(t, b, ca, "tenant-a", fmt.Sprint("agent-", i), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		publishers.Go(func() {
			for n := 0; ctx.Err() == nil; {
				try, stop := context.WithTimeout(ctx, time.Second)
				m, err := a.nc.RequestWithContext(try, wire.RecordsSubject(a.id), []byte(fmt.Sprint(n)))
				stop()
				if err != nil || strings.Contains(string(m.Data), `"error"`) {
					select {
					case <-time.After(10 * time.Millisecond):
					case <-ctx.Done():
					}
					continue
				}
				n++
				mu.Lock()
				acked[a.id] = n
				total++
				mu.Unlock()
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	for range kills {
		mu.Lock()
		until := total + 50
		mu.Unlock()
		for done := false; !done; {
			receive(t, progress)
			mu.Lock()
			done = total >= until
			mu.Unlock()
		}
		e.kill()
		e.restart()
	}
	cancel()
	publishers.Wait()
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for id, n := range acked {
			if next[id] < n {
				return false
			}
		}
		return len(acked) == agents
	})
	t.Logf("%d kills, %d messages acknowledged", kills, total)
}

func TestPortTakenIsSaidInPlainWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := bustest.Config(t, bustest.NewAuthority(t))
	cfg.Listen = l.Addr().String()
	_, err = bus.Open(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), cfg.Listen) || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("got %v", err)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	good := bustest.Config(t, bustest.NewAuthority(t))
	for name, change := range map[string]func(*bus.Config){
		"no certificate": func(c *bus.Config) { c.TLS = nil },
		"no directory":   func(c *bus.Config) { c.Dir = "" },
		"no secrets":     func(c *bus.Config) { c.Secrets = nil },
		"bad address":    func(c *bus.Config) { c.Listen = "127.0.0.1:http" },
		"nobody there":   func(c *bus.Config) { c.URLs = []string{"tls://127.0.0.1:1"} },
	} {
		cfg := good
		change(&cfg)
		if b, err := bus.Open(t.Context(), cfg); err == nil {
			b.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestKeysAreMadeOnceByManyServers(t *testing.T) {
	var secrets bustest.Secrets
	texts := make([]string, 16)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() {
			text, err := bus.ServerConfig(t.Context(), &secrets, bus.ServerOptions{Listen: "127.0.0.1:4222", StoreDir: "/srv/bus"})
			if err != nil {
				t.Error(err)
			}
			// The signature carries the second it was made in; the keys do not.
			texts[i] = text[strings.Index(text, "system_account"):strings.Index(text, "resolver:")]
		})
	}
	wg.Wait()
	for _, x := range texts {
		if x != texts[0] {
			t.Errorf("%s is not %s", x, texts[0])
		}
	}
}

// waitFor polls until cond holds.
func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if cond() {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the condition did not come true in 30 s")
		case <-tick.C:
		}
	}
}
