package bus_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/wire"
)

// violations counts what the server refused a client.
type violations struct {
	mu sync.Mutex
	n  int
}

func (v *violations) option() nats.Option {
	return nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			v.mu.Lock()
			v.n++
			v.mu.Unlock()
		}
	})
}

func (v *violations) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.n
}

func TestAgentReachesItsOwnSubjectsOnly(t *testing.T) {
	everyBus(t, func(t *testing.T, ca *bustest.Authority, cfg bus.Config) {
		b := bustest.Open(t, cfg)
		var refused violations
		a := connected(t, b, ca, "tenant-a", "agent-1", refused.option())
		sister := connected(t, b, ca, "tenant-a", "agent-2")
		stranger := connected(t, b, ca, "tenant-b", "agent-3")
		namesake := connected(t, b, ca, "tenant-b", "agent-1")

		account := func(x *agent) string { return accountOf(t, x.jwt) }
		var mu sync.Mutex
		var deliveries []bus.Delivery
		got := make(chan struct{}, 1000)
		consume(t, b, func(d bus.Delivery) {
			mu.Lock()
			deliveries = append(deliveries, d)
			mu.Unlock()
			if err := d.Ack(); err != nil {
				t.Error(err)
			}
			got <- struct{}{}
		})

		forbidden := []string{
			"records.agent-2", "records.agent-3", "records.*", "records.>", "records", "records.agent-1.x",
			"notes.agent-1", "notes.agent-2", "notes.>", "_INBOX.agent-2.x", "_INBOX.x", ">", "*",
			"ingest." + account(a) + ".agent-1", "ingest." + account(a) + ".agent-2", "ingest." + account(stranger) + ".agent-3", "ingest.>",
			"notes." + account(stranger) + ".agent-3", "event.posture", "event.>",
			"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.DELETE.RECORDS", "$JS.API.STREAM.PURGE.RECORDS", "$JS.API.STREAM.MSG.GET.RECORDS",
			"$JS.API.CONSUMER.CREATE.RECORDS", "$JS.API.CONSUMER.MSG.NEXT.RECORDS.ingest", "$JS.ACK.RECORDS.ingest.1.1.1.1.1", "$JS.API.>", "$KV.revoked.x", "$KV.>",
			"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT." + account(a) + ".CLAIMS.LOOKUP", "$SYS.REQ.USER.INFO.x", "$SYS.>",
			"$SRV.PING", "_R_.x", "_GR_.x", "$G.x", "$NRG.x",
		}
		for _, subject := range forbidden {
			if err := a.nc.Publish(subject, []byte("forged")); err != nil && !errors.Is(err, nats.ErrBadSubject) {
				t.Errorf("publish %s: %v", subject, err)
			}
		}
		if err := a.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, subject := range forbidden {
			if subject == "notes.agent-1" {
				continue
			}
			if sub, err := a.nc.SubscribeSync(subject); err == nil {
				defer sub.Unsubscribe()
			}
		}
		// A queue group does not help, nor a wildcard that includes what is allowed.
		for _, subject := range []string{"notes.*", "notes.agent-2"} {
			if _, err := a.nc.QueueSubscribeSync(subject, "q"); err != nil {
				t.Errorf("subscribe %s: %v", subject, err)
			}
		}
		if err := a.nc.Flush(); err != nil {
			t.Fatal(err)
		}

		// All others go on as before, and nothing of theirs reaches a, nor
		// anything of a's them.
		for _, other := range []*agent{sister, stranger, namesake} {
			other.publish(t, "mine")
			if err := b.NotifyAgent(t.Context(), other.tenant, other.id, wire.Note{Type: wire.NoteRefresh}); err != nil {
				t.Fatal(err)
			}
		}
		a.publish(t, "mine")
		for range 4 {
			receive(t, got)
		}
		mu.Lock()
		defer mu.Unlock()
		seen := map[string]bool{}
		for _, d := range deliveries {
			if string(d.Data) != "mine" {
				t.Errorf("%s/%s: %q got through", d.Tenant, d.Agent, d.Data)
			}
			seen[d.Tenant+"/"+d.Agent] = true
		}
		if len(deliveries) != 4 || len(seen) != 4 {
			t.Errorf("deliveries of %v", seen)
		}
		if n := refused.count(); n < len(forbidden)*2-8 {
			t.Errorf("%d violations for %d forbidden subjects published and subscribed", n, len(forbidden))
		}
	})
}

// An agent chooses where the bus answers it. The answer is the bus's own words,
// so the worst it can make of that is a batch that nobody can decode.
func TestAnswersCannotBeTurnedIntoForgeries(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	a := connected(t, b, ca, "tenant-a", "agent-1")
	victim := connected(t, b, ca, "tenant-a", "agent-2")
	notes, err := victim.nc.SubscribeSync(wire.NotesSubject("agent-2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	got := make(chan bus.Delivery, 100)
	consume(t, b, func(d bus.Delivery) { d.Ack(); got <- d })
	for _, reply := range []string{"records.agent-2", "notes.agent-2", "ingest.x.agent-2", "$JS.API.STREAM.PURGE.RECORDS", "$JS.API.STREAM.DELETE.RECORDS"} {
		if err := a.nc.PublishRequest("records.agent-1", reply, []byte("bait")); err != nil {
			t.Fatal(err)
		}
	}
	a.publish(t, "last")
	for {
		d := receive(t, got)
		if d.Agent == "agent-2" {
			if _, err := wire.DecodeBatch(d.Data); err == nil || strings.Contains(string(d.Data), "bait") {
				t.Errorf("as agent-2 came %q", d.Data)
			}
		}
		if string(d.Data) == "last" {
			break
		}
	}
	if m, err := notes.NextMsg(100 * time.Millisecond); err == nil && strings.Contains(string(m.Data), "bait") {
		t.Errorf("note %q", m.Data)
	}
	if _, err := b.Stats(t.Context()); err != nil {
		t.Errorf("the stream suffered: %v", err)
	}
}

func TestRevokedAgentIsCutAndStaysOut(t *testing.T) {
	everyBus(t, func(t *testing.T, ca *bustest.Authority, cfg bus.Config) {
		b := bustest.Open(t, cfg)
		cut := make(chan struct{})
		var once sync.Once
		a := connected(t, b, ca, "tenant-a", "agent-1", nats.MaxReconnects(0), nats.ClosedHandler(func(*nats.Conn) { once.Do(func() { close(cut) }) }))
		other := connected(t, b, ca, "tenant-a", "agent-2")
		if err := b.RevokeAgent(t.Context(), "tenant-a", a.public); err != nil {
			t.Fatal(err)
		}
		receive(t, cut)
		if err := a.connect(b, ca); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("the revoked agent connects again: %v", err)
		}
		other.publish(t, "still here")

		// Another process opens the bus with the same keys: nothing is forgotten.
		b.Close()
		b = bustest.Open(t, cfg)
		if err := b.EnsureTenant(t.Context(), "tenant-a"); err != nil {
			t.Fatal(err)
		}
		if err := a.connect(b, ca); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("the revoked agent connects after a restart: %v", err)
		}
		if err := other.connect(b, ca); err != nil {
			t.Errorf("the other agent after a restart: %v", err)
		}
		other.nc.Close()
	})
}

func TestForeignAndExpiredIdentitiesAreRefused(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	elsewhere := bustest.Open(t, bustest.Config(t, ca))
	if err := b.EnsureTenant(t.Context(), "tenant-a"); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, a *agent) {
		t.Helper()
		if err := a.connect(b, ca); err == nil {
			a.nc.Close()
			t.Errorf("%s: connected", what)
		}
	}
	refused("an identity of another installation", newAgent(t, elsewhere, "tenant-a", "agent-1", 0))

	stolen := newAgent(t, b, "tenant-a", "agent-1", 0)
	stolen.key, _ = nkeys.CreateUser()
	refused("a JWT without its seed", stolen)

	altered := newAgent(t, b, "tenant-a", "agent-1", 0)
	parts := strings.Split(altered.jwt, ".")
	other := strings.Split(newAgent(t, b, "tenant-a", "agent-2", 0).jwt, ".")
	altered.jwt = parts[0] + "." + other[1] + "." + parts[2]
	refused("an altered JWT", altered)

	expired := newAgent(t, b, "tenant-a", "agent-1", time.Nanosecond)
	<-time.After(time.Second) // JWTs count in seconds
	refused("an expired JWT", expired)

	plain := newAgent(t, b, "tenant-a", "agent-1", 0)
	nc, err := nats.Connect(strings.Replace(b.URLs()[0], "tls://", "nats://", 1), nats.UserJWT(func() (string, error) { return plain.jwt, nil }, plain.key.Sign))
	if err == nil {
		nc.Close()
		t.Error("connected without trusting the certificate")
	}
	if nc, err := nats.Connect(b.URLs()[0], nats.Secure(ca.ClientTLS())); err == nil {
		nc.Close()
		t.Error("connected without an identity")
	}
}

func TestExpiryCutsTheConnection(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	a := newAgent(t, b, "tenant-a", "agent-1", 2*time.Second)
	cut := make(chan struct{})
	if err := a.connect(b, ca, nats.MaxReconnects(0), nats.ClosedHandler(func(*nats.Conn) { close(cut) })); err != nil {
		t.Fatal(err)
	}
	a.publish(t, "in time")
	receive(t, cut)
}

func TestNamesThatAreNoSubjectTokenAreRefused(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	pub := newAgent(t, b, "tenant-a", "agent-1", 0).public
	for _, name := range []string{"", "a.b", "*", ">", "a b", "ä", strings.Repeat("a", 65), "a\nb"} {
		if _, _, err := b.IssueAgent(t.Context(), "tenant-a", name, pub, 0); err == nil {
			t.Errorf("agent %q was issued", name)
		}
		if err := b.EnsureTenant(t.Context(), name); err == nil {
			t.Errorf("tenant %q was made", name)
		}
		if err := b.NotifyAgent(t.Context(), "tenant-a", name, wire.Note{}); err == nil {
			t.Errorf("agent %q was notified", name)
		}
		if _, err := b.Subscribe(name+".$x", nil); err == nil {
			t.Errorf("topic %q was taken", name)
		}
	}
	if _, _, err := b.IssueAgent(t.Context(), "tenant-a", "agent-1", "no key", 0); err == nil {
		t.Error("a public key that is none was taken")
	}
}

// accountOf reads the account from an agent's JWT.
func accountOf(t testing.TB, token string) string {
	t.Helper()
	c, err := jwt.DecodeUserClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return c.IssuerAccount
}
