package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/agent"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/wire"
)

// sender is an agent that sends what a test wants it to.
type sender struct {
	t  *testing.T
	id agent.Identity
	nc *nats.Conn
}

// newSender connects with the identity in dir.
func newSender(t *testing.T, dir string) *sender {
	t.Helper()
	id, err := agent.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := nkeys.FromSeed([]byte(id.Seed))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(id.CA))
	nc, err := nats.Connect(strings.Join(id.BusURLs, ","), nats.UserJWT(func() (string, error) { return id.JWT, nil }, key.Sign),
		nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), nats.CustomInboxPrefix("_INBOX."+id.Agent))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return &sender{t, id, nc}
}

// send publishes one fact as the batch of a sequence number, by a clock that is
// off by ahead.
func (s *sender) send(sequence uint64, ahead time.Duration, kind, data string) {
	s.t.Helper()
	now := time.Now().Add(ahead)
	b, err := wire.EncodeBatch(wire.Batch{Epoch: "e2e", First: sequence, SentAt: now, Records: []evidence.Record{
		{Class: evidence.ClassFact, Kind: kind, Time: now, Data: json.RawMessage(data)},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.nc.Request(wire.RecordsSubject(s.id.Agent), b, patience); err != nil {
		s.t.Fatal(err)
	}
}

func reboot(kernel string) string {
	return fmt.Sprintf(`{"needed":false,"reasons":[],"running_kernel":%q,"stale_services":[]}`, kernel)
}

// reports waits until the machine's reboot fact names a kernel, and returns the fact.
func reports(s *server, kernel string) (f api.Fact) {
	s.t.Helper()
	eventually(s.t, "the fact names kernel "+kernel, func() string {
		var list []api.Fact
		s.ask(&list, "facts", "--vm", "web-1", "--tenant", "acme")
		for _, x := range list {
			if x.Kind == "host.reboot" && strings.Contains(string(x.Data), `"`+kernel+`"`) {
				f = x
				return ""
			}
		}
		return fmt.Sprint(len(list), " facts")
	})
	return f
}

// TestHostileBatches sends, through the bus, a clock that is a day ahead, a
// batch again and out of order, and facts that are not what they should be.
func TestHostileBatches(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	dir := t.TempDir()
	s.enrol("acme", "web-1", dir, "/")
	a := newSender(t, dir)

	// A clock a day ahead: the fact is dated by the server's clock, and the
	// skew is told, so that it goes stale in time.
	a.send(1, 24*time.Hour, "host.reboot", reboot("6.1.0-1"))
	if f := reports(s, "6.1.0-1"); time.Since(f.ObservedAt).Abs() > time.Minute {
		t.Errorf("a fact by a clock a day ahead is dated %s", f.ObservedAt)
	}
	var agents []api.Agent
	s.ask(&agents, "agent", "list", "--tenant", "acme")
	if skew := time.Duration(agents[0].SkewMillis) * time.Millisecond; (skew + 24*time.Hour).Abs() > time.Minute {
		t.Errorf("the skew is said to be %s, want about -24h", skew)
	}
	v := s.verdicts("acme", "web-1")["CLD.6.3.1/C-1.2a"]
	if v.EvaluatedAt.After(time.Now().Add(time.Minute)) {
		t.Errorf("judged at %s", v.EvaluatedAt)
	}

	// The same batch again, and an older one after a newer one.
	a.send(2, 24*time.Hour, "host.reboot", reboot("6.1.0-2"))
	reports(s, "6.1.0-2")
	a.send(1, 24*time.Hour, "host.reboot", reboot("6.1.0-1"))
	a.send(2, 24*time.Hour, "host.reboot", reboot("6.1.0-9"))
	a.send(3, 24*time.Hour, "host.reboot", reboot("6.1.0-3"))
	reports(s, "6.1.0-3")

	// Facts that break their schema, of no known kind, or about the server.
	for i, bad := range []struct{ kind, data string }{
		{"host.reboot", `{"needed":"perhaps"}`}, {"host.reboot", `{"kernel":1}`}, {"host.nothing", `{}`},
		{"vm.coverage", `{"enrolled":true}`}, {"ledger.state", `{"verified":true}`}, {"hardening.result", `{"score":100}`},
	} {
		a.send(uint64(4+i), 24*time.Hour, bad.kind, bad.data)
	}
	a.send(10, 24*time.Hour, "host.reboot", reboot("6.1.0-4"))
	reports(s, "6.1.0-4")
	var facts []api.Fact
	s.ask(&facts, "facts", "--vm", "web-1", "--tenant", "acme")
	for _, f := range facts {
		if f.Kind == "host.nothing" || f.Kind != "host.reboot" && strings.HasPrefix(f.Source, "agent/") {
			t.Errorf("a fact %s was taken from %s", f.Kind, f.Source)
		}
	}

	// Bytes that are no batch, and another agent's subject.
	if _, err := a.nc.Request(wire.RecordsSubject(a.id.Agent), []byte("no batch"), patience); err != nil {
		t.Error(err)
	}
	if _, err := a.nc.Request(wire.RecordsSubject("a-another"), []byte("no batch"), time.Second); err == nil {
		t.Error("an agent can publish as another")
	}
	a.send(11, 24*time.Hour, "host.reboot", reboot("6.1.0-5"))
	reports(s, "6.1.0-5")
}
