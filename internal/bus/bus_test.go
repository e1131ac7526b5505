package bus_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/wire"
)

// agent is a user of the bus as an agent is one, without the agent's manners.
type agent struct {
	tenant, id, public, jwt string
	key                     nkeys.KeyPair
	nc                      *nats.Conn
}

func newAgent(t testing.TB, b *bus.Bus, tenant, id string, ttl time.Duration) *agent {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	jwt, _, err := b.IssueAgent(t.Context(), tenant, id, pub, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return &agent{tenant: tenant, id: id, public: pub, jwt: jwt, key: key}
}

func (a *agent) connect(b *bus.Bus, ca *bustest.Authority, opts ...nats.Option) error {
	opts = append([]nats.Option{
		nats.UserJWT(func() (string, error) { return a.jwt, nil }, a.key.Sign),
		nats.Secure(ca.ClientTLS()), nats.CustomInboxPrefix("_INBOX." + a.id), nats.Timeout(10 * time.Second),
	}, opts...)
	nc, err := nats.Connect(b.URLs()[0], opts...)
	a.nc = nc
	return err
}

func connected(t testing.TB, b *bus.Bus, ca *bustest.Authority, tenant, id string, opts ...nats.Option) *agent {
	t.Helper()
	a := newAgent(t, b, tenant, id, 0)
	if err := a.connect(b, ca, opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.nc.Close)
	return a
}

func (a *agent) publish(t testing.TB, data string) {
	t.Helper()
	m, err := a.nc.Request(wire.RecordsSubject(a.id), []byte(data), 10*time.Second)
	if err != nil {
		t.Fatalf("agent %s publishes: %v", a.id, err)
	}
	if ack := string(m.Data); len(ack) < 10 || !containsAll(ack, `"stream"`, `"seq"`) {
		t.Fatalf("agent %s: acknowledgement %q", a.id, ack)
	}
}

// consume starts consuming and returns the deliveries; stop ends it and waits.
func consume(t testing.TB, b *bus.Bus, handle func(bus.Delivery)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Consume(ctx, func(_ context.Context, d bus.Delivery) { handle(d) }); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came in 20 s")
		panic("not reached")
	}
}

func TestRecordsGoUpAndNotesComeDown(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	a := connected(t, b, ca, "tenant-1", "agent-1")
	got := make(chan bus.Delivery, 10)
	consume(t, b, func(d bus.Delivery) {
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
		got <- d
	})
	for i := range 3 {
		a.publish(t, fmt.Sprint("batch ", i))
	}
	for i := range 3 {
		d := receive(t, got)
		if d.Tenant != "tenant-1" || d.Agent != "agent-1" || string(d.Data) != fmt.Sprint("batch ", i) || time.Since(d.Stored) > time.Minute {
			t.Errorf("delivery %d: %+v", i, d)
		}
	}

	notes, err := a.nc.SubscribeSync(wire.NotesSubject("agent-1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.NotifyAgent(t.Context(), "tenant-1", "agent-1", wire.Note{Type: wire.NoteRefresh}); err != nil {
		t.Fatal(err)
	}
	m, err := notes.NextMsg(10 * time.Second)
	if err != nil || string(m.Data) != `{"type":"refresh"}` {
		t.Errorf("note: %v, %v", m, err)
	}
}

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
