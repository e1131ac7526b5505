package selfcheck_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/selfcheck"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// people are contacts in clear, as the estate gives them.
type people struct {
	list []estate.Contact
	err  error
}

func (p people) Unsealed(*store.Tx, string) ([]estate.Contact, error) { return p.list, p.err }

func ago(days int) *time.Time { t := noon.AddDate(0, 0, -days); return &t }

// facts returns the facts of a source by kind, each checked against its form.
func facts(t *testing.T, s *store.Store, source interface {
	Facts(*store.Tx, evidence.Subject, time.Time) ([]evidence.Fact, error)
}, subject evidence.Subject, now time.Time) map[string]map[string]any {
	t.Helper()
	forms, err := assessment.NewEnvironment(selfcheck.Kinds)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]any{}
	err = s.Read(t.Context(), func(tx *store.Tx) error {
		list, err := source.Facts(tx, subject, now)
		for _, f := range list {
			if _, err := forms.Decode(f.Kind, f.Data); err != nil {
				t.Errorf("%s: %v", f.Kind, err)
			}
			if !f.Again.After(now) {
				t.Errorf("%s is not looked at again", f.Kind)
			}
			var v map[string]any
			if err := json.Unmarshal(f.Data, &v); err != nil {
				t.Error(err)
			}
			out[f.Kind] = v
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTenant(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	tenant := evidence.Subject{Scope: evidence.ScopeTenant, Tenant: "t-1", ID: "t-1"}
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		return tx.InsertTenant(&estate.Tenant{ID: "t-1", Name: "acme", CreatedAt: noon})
	})
	if err != nil {
		t.Fatal(err)
	}
	source := selfcheck.Tenants{Form: form, Contacts: people{list: []estate.Contact{
		{Role: estate.Administrator, Name: "Eva", Mail: "e@example.org", Telephone: "1", Verified: ago(10)},
		{Role: estate.Administrator, Name: "Udo", Mail: "u@example.org", Verified: ago(200)},
		{Role: estate.Administrator, Name: "Ada", Mail: "a@example.org"},
		{Role: estate.BillingContact, Name: "Bo", Mail: "b@example.org", Telephone: "1", Verified: ago(900)},
	}}}
	got := facts(t, s, source, tenant, noon)
	for member, want := range map[string]float64{"administrators": 3, "verified": 2, "oldest_verification_days": 200, "with_mail": 3, "with_telephone": 1} {
		if got["tenant.contacts"][member] != want {
			t.Errorf("%s is %v, want %v", member, got["tenant.contacts"][member], want)
		}
	}
	if got["tenant.contact_form"]["encrypted"] != false || got["tenant.ledger"]["entries"] != 0.0 {
		t.Errorf("a tenant without key and ledger: %v", got)
	}
	err = s.Write(t.Context(), func(tx *store.Tx) error { return tx.InsertTenantKey("t-1", []byte{1}) })
	if err != nil {
		t.Fatal(err)
	}
	if got := facts(t, s, source, tenant, noon); got["tenant.contact_form"]["key_per_tenant"] != true {
		t.Errorf("with a key: %v", got)
	}
	failing := selfcheck.Tenants{Form: form, Contacts: people{err: errors.New("sealed with another key")}}
	if err := s.Read(t.Context(), func(tx *store.Tx) error { _, err := failing.Facts(tx, tenant, noon); return err }); err == nil {
		t.Error("contacts that cannot be read are counted")
	}
}

func TestProvider(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	log, err := ledger.New(ledger.Config{Store: s, Origin: "demarc/test", Keyring: keys, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := log.Append(tx, ledger.Entry{Time: now, Actor: "system/p", Action: "tenant.create", Subject: "tenant/1"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	verifier := ledger.NewVerifier(log, time.Hour)
	seen := cosigners{{Name: "w1"}, {Name: "w2"}}
	p := &selfcheck.Provider{Ledger: log, Verifier: verifier, Witnesses: &seen, Form: form, Listeners: []selfcheck.Listener{
		{Address: "127.0.0.1:1", Loopback: true}, {Address: "0.0.0.0:2", TLS: true}, {Address: "0.0.0.0:3", TLS: true, AllowList: true},
	}}
	got := facts(t, s, p, evidence.Provider, now.Add(10*time.Minute))
	st := got["ledger.state"]
	if st["entries"].(float64) < 1 || st["verified"] != false || st["witnesses"] != 2.0 || st["cosigned"] != false || st["checkpoint_age_seconds"] != 600.0 {
		t.Errorf("before verification and checkpoint: %v", st)
	}
	if public := got["management.exposure"]["public"].([]any); len(public) != 1 || public[0] != "0.0.0.0:2" {
		t.Errorf("public listeners %v", public)
	}
	if got["privacy.contact_form"]["encrypted"] != true {
		t.Errorf("no tenant is without a key: %v", got["privacy.contact_form"])
	}
	if err := verifier.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at, fault := verifier.Last(); !at.Equal(now) || fault != "" {
		t.Errorf("verified at %s, %q", at, fault)
	}
	st = facts(t, s, p, evidence.Provider, now.Add(5*time.Hour))["ledger.state"]
	if st["verified"] != true || st["verified_hours_ago"] != 5.0 {
		t.Errorf("after verification: %v", st)
	}
	if st["retention_days"] != 3650.0 {
		t.Errorf("the guards are there, but entries count as kept for %v days", st["retention_days"])
	}
	seen[1].Contradicted = true
	if st = facts(t, s, p, evidence.Provider, now)["ledger.state"]; st["verified"] != false || !strings.Contains(st["fault"].(string), "w2") {
		t.Errorf("a witness has seen another ledger, and the ledger is said to be sound: %v", st)
	}
}

// cosigners are witnesses of which only the state is asked.
type cosigners []ledger.WitnessState

func (c *cosigners) State() []ledger.WitnessState { return *c }

func form() ([]string, bool) { return []string{"name"}, true }
