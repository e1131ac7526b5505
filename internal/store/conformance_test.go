package store_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 123456000, time.UTC)

// suite runs every part of the contract on one database. Each part has a
// tenant of its own.
func TestConformance(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for i, part := range []struct {
			name string
			run  func(*testing.T, db)
		}{
			{"transactions", transactions}, {"estate", estateRules}, {"references", references}, {"pages", pages}, {"facts", facts},
			{"verdicts", verdicts}, {"statements", statements}, {"policies", policies}, {"subscriptions", subscriptions},
			{"identities", identities}, {"vault", vault}, {"enrolment", enrolment}, {"idempotency", idempotency}, {"settings", settings}, {"contacts", contacts},
			{"catalogues", catalogues}, {"people", people}, {"sessions", sessions}, {"sign-in", signIn},
			{"grants", grants}, {"guards of grants", grantGuards},
		} {
			t.Run(part.name, func(t *testing.T) {
				d := db{s, "t-" + strconv.Itoa(i), "vdc-" + strconv.Itoa(i), "vm-" + strconv.Itoa(i)}
				d.seed(t)
				part.run(t, d)
			})
		}
	})
}

// db is the store with a tenant in it.
type db struct {
	*store.Store
	tenant, vdc, vm string
}

func (d db) seed(t *testing.T) {
	t.Helper()
	d.ok(t, func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: d.tenant, Name: "name-of-" + d.tenant, CreatedAt: noon}); err != nil {
			return err
		}
		if err := tx.InsertVDC(&estate.VDC{ID: d.vdc, Tenant: d.tenant, Name: "main", CreatedAt: noon}); err != nil {
			return err
		}
		return tx.InsertVM(&estate.VM{ID: d.vm, Tenant: d.tenant, VDC: d.vdc, Name: "web", State: lifecycle.Active, CreatedAt: noon})
	})
}

func (d db) ok(t *testing.T, f func(tx *store.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// refused runs f, which must fail with want and leave nothing behind.
func (d db) refused(t *testing.T, what string, want error, f func(tx *store.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), f); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (d db) subject() evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeVM, Tenant: d.tenant, ID: d.vm}
}

func read[T any](t *testing.T, d db, f func(tx *store.Tx) (T, error)) T {
	t.Helper()
	var v T
	err := d.Read(t.Context(), func(tx *store.Tx) (err error) { v, err = f(tx); return err })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func transactions(t *testing.T, d db) {
	undone := errors.New("undone")
	committed := 0
	err := d.Write(t.Context(), func(tx *store.Tx) error {
		tx.OnCommit(func() { committed++ })
		if err := tx.RenameTenant(d.tenant, "other", 1); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) || committed != 0 {
		t.Errorf("%v, %d run after it", err, committed)
	}
	if got := read(t, d, func(tx *store.Tx) (estate.Tenant, error) { return tx.Tenant(d.tenant) }); got.Name == "other" {
		t.Error("what was undone is there")
	}
	d.ok(t, func(tx *store.Tx) error { tx.OnCommit(func() { committed++ }); return nil })
	if committed != 1 {
		t.Error("the hook did not run")
	}
	func() {
		defer func() { recover() }()
		d.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.RenameTenant(d.tenant, "panicked", 1); err != nil {
				return err
			}
			panic("in a transaction")
		})
	}()
	d.ok(t, func(tx *store.Tx) error { return tx.RenameTenant(d.tenant, "after-"+d.tenant, 1) })
	if err := d.Read(t.Context(), func(tx *store.Tx) error { return tx.RenameTenant(d.tenant, "read-only", 2) }); err == nil {
		t.Error("a reading transaction wrote")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Write(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
}

func estateRules(t *testing.T, d db) {
	d.refused(t, "name taken", store.ErrConflict, func(tx *store.Tx) error {
		return tx.InsertTenant(&estate.Tenant{ID: "t-x", Name: "name-of-" + d.tenant})
	})
	d.refused(t, "VDC of nobody", store.ErrConflict, func(tx *store.Tx) error {
		return tx.InsertVDC(&estate.VDC{ID: "vdc-x", Tenant: "t-nobody", Name: "a"})
	})
	d.ok(t, func(tx *store.Tx) error {
		return tx.InsertTenant(&estate.Tenant{ID: d.tenant + "-b", Name: "second-" + d.tenant})
	})
	d.refused(t, "VM in another tenant's VDC", store.ErrConflict, func(tx *store.Tx) error {
		return tx.InsertVM(&estate.VM{ID: "vm-x", Tenant: d.tenant + "-b", VDC: d.vdc, Name: "a", State: lifecycle.Active})
	})
	vm := read(t, d, func(tx *store.Tx) (estate.VM, error) { return tx.VM(d.tenant, "web") })
	if vm.ID != d.vm || vm.Version != 1 || !vm.CreatedAt.Equal(noon) {
		t.Errorf("%+v", vm)
	}
	stale := vm
	vm.Declared = estate.Declaration{Role: "web", Listeners: []string{"tcp/443"}}
	d.ok(t, func(tx *store.Tx) error { return tx.UpdateVM(&vm) })
	d.refused(t, "stale version", store.ErrStale, func(tx *store.Tx) error { return tx.UpdateVM(&stale) })
	got := read(t, d, func(tx *store.Tx) (estate.VM, error) { return tx.VMByID(d.vm) })
	if got.Version != 2 || got.Declared.Role != "web" || !slices.Equal(got.Declared.Listeners, []string{"tcp/443"}) {
		t.Errorf("%+v", got)
	}
	a := read(t, d, func(tx *store.Tx) (estate.Tenant, error) { return tx.Tenant(d.tenant) })
	b := read(t, d, func(tx *store.Tx) (estate.Tenant, error) { return tx.Tenant(d.tenant + "-b") })
	if a.Ordinal == b.Ordinal {
		t.Error("two tenants have one number")
	}
}

// references: a name that is another's id does not stand in for it, and what
// no database can look for is not found.
func references(t *testing.T, d db) {
	d.ok(t, func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: "t-0-" + d.tenant, Name: d.tenant}); err != nil {
			return err
		}
		if err := tx.InsertVDC(&estate.VDC{ID: "vdc-0-" + d.tenant, Tenant: d.tenant, Name: d.vdc}); err != nil {
			return err
		}
		return tx.InsertVM(&estate.VM{ID: "vm-0-" + d.tenant, Tenant: d.tenant, VDC: d.vdc, Name: d.vm, State: lifecycle.Active})
	})
	if got := read(t, d, func(tx *store.Tx) (estate.Tenant, error) { return tx.Tenant(d.tenant) }); got.ID != d.tenant {
		t.Errorf("tenant %s", got.ID)
	}
	if got := read(t, d, func(tx *store.Tx) (estate.VDC, error) { return tx.VDC(d.tenant, d.vdc) }); got.ID != d.vdc {
		t.Errorf("VDC %s", got.ID)
	}
	if got := read(t, d, func(tx *store.Tx) (estate.VM, error) { return tx.VM(d.tenant, d.vm) }); got.ID != d.vm {
		t.Errorf("VM %s", got.ID)
	}
	if got := read(t, d, func(tx *store.Tx) ([]estate.VM, error) { return tx.VMsNamed(d.vm) }); len(got) != 1 || got[0].ID != d.vm {
		t.Errorf("VMs %+v", got)
	}
	for _, ref := range []string{"", "nobody", "a\x00b", "a\xffb", "' OR 1=1 --", `"`, "?", "%"} {
		err := d.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Tenant(ref); return err })
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

func pages(t *testing.T, d db) {
	for i := range 7 {
		d.ok(t, func(tx *store.Tx) error {
			return tx.InsertVDC(&estate.VDC{ID: "vdc-page-" + strconv.Itoa(i) + d.tenant, Tenant: d.tenant, Name: "page-" + strconv.Itoa(i)})
		})
	}
	var all []string
	for p := (store.Page{Limit: 3}); ; {
		got := read(t, d, func(tx *store.Tx) ([]estate.VDC, error) { return tx.VDCs(d.tenant, p) })
		for _, v := range got {
			all = append(all, v.ID)
		}
		if len(got) < 3 {
			break
		}
		p.After = got[2].ID
	}
	if len(all) != 8 || !slices.IsSorted(all) || len(slices.Compact(all)) != 8 {
		t.Errorf("%v", all)
	}
}

func facts(t *testing.T, d db) {
	f := evidence.Fact{Subject: d.subject(), Kind: "host.os", Data: []byte(`{"name":"Debian é"}`), Digest: "sha256:1", ObservedAt: noon, ChangedAt: noon, Source: "agent/a", Again: noon.Add(time.Hour)}
	g := f
	g.Kind, g.Again = "host.users", time.Time{}
	d.ok(t, func(tx *store.Tx) error { return tx.PutFacts([]evidence.Fact{f, g}) })
	got := read(t, d, func(tx *store.Tx) (evidence.Fact, error) { return tx.Fact(f.Subject, f.Kind) })
	if string(got.Data) != string(f.Data) || !got.ObservedAt.Equal(noon) || !got.Again.Equal(f.Again) || got.Subject != f.Subject {
		t.Errorf("%+v", got)
	}
	later := noon.Add(time.Minute)
	d.ok(t, func(tx *store.Tx) error { return tx.ConfirmFacts(f.Subject, []string{"host.os"}, later) })
	d.ok(t, func(tx *store.Tx) error { return tx.ConfirmFacts(f.Subject, []string{"host.os"}, noon) }) // came late
	all := read(t, d, func(tx *store.Tx) ([]evidence.Fact, error) { return tx.Facts([]evidence.Subject{f.Subject}) })
	one := read(t, d, func(tx *store.Tx) ([]evidence.Fact, error) { return tx.Facts([]evidence.Subject{f.Subject}, "host.os") })
	if len(all) != 2 || len(one) != 1 || !one[0].ObservedAt.Equal(later) || !one[0].ChangedAt.Equal(noon) {
		t.Errorf("%d facts; %+v", len(all), one)
	}
	f.Data, f.Digest = []byte(`{}`), "sha256:2"
	d.ok(t, func(tx *store.Tx) error { return tx.PutFacts([]evidence.Fact{f}) })
	if got := read(t, d, func(tx *store.Tx) (evidence.Fact, error) { return tx.Fact(f.Subject, f.Kind) }); got.Digest != "sha256:2" {
		t.Errorf("%+v", got)
	}
	err := d.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Fact(f.Subject, "host.none"); return err })
	if !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

func verdicts(t *testing.T, d db) {
	refs := []evidence.Reference{{Type: "fact", Ref: "host.os", Subject: d.subject(), Digest: "sha256:1", At: noon, Source: `agent/"quoted"`}}
	var js []evidence.Judgement
	for i, v := range []evidence.Verdict{evidence.Met, evidence.NotMet, evidence.Unknown, evidence.Waived, evidence.NotApplicable} {
		js = append(js, evidence.Judgement{
			Subject: d.subject(), Duty: d.tenant + "/D-" + strconv.Itoa(i), Control: "C", Party: "customer", Verdict: v, Reason: "because",
			Since: noon, EvaluatedAt: noon, DueAt: noon.Add(time.Duration(i) * time.Hour), Evidence: refs,
		})
	}
	d.ok(t, func(tx *store.Tx) error { return tx.PutVerdicts(js) })
	d.ok(t, func(tx *store.Tx) error { return tx.PutVerdicts(js) }) // again, over themselves
	got := read(t, d, func(tx *store.Tx) ([]evidence.Judgement, error) {
		return tx.Verdicts(store.VerdictFilter{Tenant: d.tenant})
	})
	if len(got) != 5 || len(got[0].Evidence) != 1 || got[0].Evidence[0] != refs[0] {
		t.Fatalf("%+v", got)
	}
	for what, c := range map[string]struct {
		f    store.VerdictFilter
		want int
	}{
		"verdict": {store.VerdictFilter{Tenant: d.tenant, Verdict: evidence.NotMet}, 1}, "VM": {store.VerdictFilter{VM: d.vm}, 5},
		"after": {store.VerdictFilter{Tenant: d.tenant, After: &js[2]}, 2}, "limit": {store.VerdictFilter{Tenant: d.tenant, Limit: 2}, 2},
		"party": {store.VerdictFilter{Tenant: d.tenant, Party: "provider"}, 0}, "scope": {store.VerdictFilter{Tenant: d.tenant, Scope: evidence.ScopeVDC}, 0},
		"duty": {store.VerdictFilter{Duty: js[0].Duty}, 1}, "other tenant": {store.VerdictFilter{Tenant: "t-nobody"}, 0},
	} {
		if n := len(read(t, d, func(tx *store.Tx) ([]evidence.Judgement, error) { return tx.Verdicts(c.f) })); n != c.want {
			t.Errorf("%s: %d, want %d", what, n, c.want)
		}
	}
	bad := js[0]
	bad.Verdict = "perhaps"
	d.refused(t, "unknown verdict", store.ErrConflict, func(tx *store.Tx) error { return tx.PutVerdicts([]evidence.Judgement{bad}) })
	d.ok(t, func(tx *store.Tx) error { return tx.AddHistory(js[:1], noon.Add(time.Hour)) })
	past := read(t, d, func(tx *store.Tx) ([]store.PastJudgement, error) { return tx.History(d.subject(), js[0].Duty, 10) })
	if len(past) != 1 || !past[0].Until.Equal(noon.Add(time.Hour)) || past[0].Verdict != evidence.Met {
		t.Errorf("%+v", past)
	}
	d.ok(t, func(tx *store.Tx) error { return tx.DropVerdicts(d.subject(), []string{js[0].Duty, js[1].Duty}) })
	counts := read(t, d, func(tx *store.Tx) ([]store.VerdictCount, error) { return tx.VerdictCounts(d.tenant, false) })
	if len(counts) != 3 {
		t.Errorf("%+v", counts)
	}
}

func statements(t *testing.T, d db) {
	at := func(id string, from, to time.Duration) evidence.Attestation {
		return evidence.Attestation{ID: id + d.tenant, Duty: "D", Subject: d.subject(), By: "p", Statement: "it is so",
			Attachments: []evidence.Attachment{{Name: "plan.pdf", Digest: "sha256:1", Bytes: 7}}, CreatedAt: noon, Effective: noon.Add(from), Expires: noon.Add(to)}
	}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertAttestation(at("now", 0, time.Hour)) })
	d.ok(t, func(tx *store.Tx) error { return tx.InsertAttestation(at("later", time.Hour, 2*time.Hour)) })
	d.refused(t, "ends before it begins", store.ErrConflict, func(tx *store.Tx) error { return tx.InsertAttestation(at("bad", time.Hour, 0)) })
	standing := func(t *testing.T, when time.Duration) int {
		return len(read(t, d, func(tx *store.Tx) ([]evidence.Attestation, error) {
			return tx.Attestations([]evidence.Subject{d.subject()}, noon.Add(when))
		}))
	}
	if standing(t, 0) != 2 || standing(t, time.Hour) != 1 || standing(t, 2*time.Hour) != 0 {
		t.Error(standing(t, 0), standing(t, time.Hour), standing(t, 2*time.Hour))
	}
	d.refused(t, "another tenant withdraws", store.ErrConflict, func(tx *store.Tx) error { return tx.Withdraw("attestation", "t-nobody", "now"+d.tenant, noon) })
	d.ok(t, func(tx *store.Tx) error { return tx.Withdraw("attestation", d.tenant, "now"+d.tenant, noon) })
	d.refused(t, "withdrawn twice", store.ErrConflict, func(tx *store.Tx) error { return tx.Withdraw("attestation", d.tenant, "now"+d.tenant, noon) })
	all := read(t, d, func(tx *store.Tx) ([]evidence.Attestation, error) { return tx.AttestationList(d.tenant, store.Page{}) })
	if standing(t, 0) != 1 || len(all) != 2 || len(all[0].Attachments) != 1 {
		t.Errorf("%d stand of %+v", standing(t, 0), all)
	}
	w := evidence.Waiver{ID: "w" + d.tenant, Duty: "D", Subject: d.subject(), AcceptedBy: "p", Reason: "r", CreatedAt: noon, Effective: noon, Expires: noon.Add(time.Hour)}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertWaiver(w) })
	got := read(t, d, func(tx *store.Tx) ([]evidence.Waiver, error) {
		return tx.Waivers([]evidence.Subject{d.subject()}, noon)
	})
	if len(got) != 1 || got[0].Reason != "r" || got[0].Withdrawn != nil {
		t.Errorf("%+v", got)
	}
}

func policies(t *testing.T, d db) {
	for i := range 3 {
		p := store.Policy{Subject: d.subject(), Service: "hardening", Document: []byte(`{"n":` + strconv.Itoa(i) + `}`), Digest: "d", CreatedAt: noon, By: "p"}
		d.ok(t, func(tx *store.Tx) error { return tx.AddPolicy(&p) })
		if p.Version != int64(i+1) {
			t.Errorf("version %d", p.Version)
		}
	}
	got := read(t, d, func(tx *store.Tx) ([]store.Policy, error) { return tx.Policies([]evidence.Subject{d.subject()}) })
	if len(got) != 1 || got[0].Version != 3 || string(got[0].Document) != `{"n":2}` {
		t.Errorf("%+v", got)
	}
}

func subscriptions(t *testing.T, d db) {
	sub := responsibility.Subscription{ID: "s" + d.tenant, Tenant: d.tenant, Service: "backup", Covers: responsibility.Coverage{VM: d.vm}, From: noon}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertSubscription(sub, noon) })
	end := noon.Add(24 * time.Hour)
	d.ok(t, func(tx *store.Tx) error { return tx.EndSubscription(d.tenant, sub.ID, end, noon) })
	d.ok(t, func(tx *store.Tx) error { return tx.EndSubscription(d.tenant, sub.ID, noon.Add(time.Hour), noon) }) // earlier: still to come
	d.refused(t, "what has ended", store.ErrConflict, func(tx *store.Tx) error { return tx.EndSubscription(d.tenant, sub.ID, end, noon.Add(2*time.Hour)) })
	d.refused(t, "another tenant's", store.ErrConflict, func(tx *store.Tx) error { return tx.EndSubscription("t-nobody", sub.ID, end, noon) })
	early := sub
	before := noon.Add(-time.Hour)
	early.ID, early.To = "s-early"+d.tenant, &before
	d.refused(t, "ends before it begins", store.ErrConflict, func(tx *store.Tx) error { return tx.InsertSubscription(early, noon) })
	got := read(t, d, func(tx *store.Tx) ([]responsibility.Subscription, error) { return tx.Subscriptions(d.tenant) })
	if len(got) != 1 || got[0].Covers != sub.Covers || got[0].To == nil || !got[0].To.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v", got)
	}
	moments := func(from, to time.Duration) bool {
		return slices.Contains(read(t, d, func(tx *store.Tx) ([]string, error) { return tx.SubscriptionMoments(noon.Add(from), noon.Add(to)) }), d.tenant)
	}
	if !moments(-1, 1) || !moments(time.Minute, time.Hour) || moments(0, time.Minute) || moments(time.Hour, 2*time.Hour) {
		t.Error("moments at which a subscription begins or ends")
	}
}

func identities(t *testing.T, d db) {
	c := store.Credential{Principal: access.Principal{ID: "p" + d.tenant, Name: "Eva", Role: access.CustomerViewer, Tenant: d.tenant, Kind: access.Service}, SecretHash: "h", CreatedAt: noon}
	narrow := store.Credential{Principal: access.Principal{ID: "n" + d.tenant, Name: "bot", Role: access.ProviderAuditor, Kind: access.Service, MFA: true, Scope: []access.Action{access.Look, access.VerifyLedger}}, CreatedAt: noon}
	none := narrow
	none.ID, none.Scope = "e"+d.tenant, []access.Action{}
	for _, c := range []store.Credential{narrow, none} {
		d.ok(t, func(tx *store.Tx) error { return tx.InsertPrincipal(c) })
		got := read(t, d, func(tx *store.Tx) (store.Credential, error) { return tx.Principal(c.ID) })
		if !reflect.DeepEqual(got.Principal, c.Principal) {
			t.Errorf("%+v came back as %+v", c.Principal, got.Principal)
		}
	}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertPrincipal(c) })
	d.refused(t, "twice", store.ErrConflict, func(tx *store.Tx) error { return tx.InsertPrincipal(c) })
	session := store.Session{ID: "s" + d.tenant, Principal: c.ID, SecretHash: "one" + d.tenant, MFA: true, Method: "passkey", Client: "Firefox",
		CreatedAt: noon, Authenticated: noon, Seen: noon, Rotated: noon, Expires: noon.Add(time.Hour)}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertSession(session) })
	by := func(hash string) (store.Session, error) {
		var out store.Session
		err := d.Read(t.Context(), func(tx *store.Tx) (err error) { out, err = tx.SessionBySecret(hash); return err })
		return out, err
	}
	if got, err := by(session.SecretHash); err != nil || !reflect.DeepEqual(got, session) {
		t.Errorf("%+v came back as %+v, %v", session, got, err)
	}
	rotated := session
	rotated.SecretHash, rotated.FormerHash = "two"+d.tenant, session.SecretHash
	d.ok(t, func(tx *store.Tx) error { return tx.UpdateSession(rotated, session.SecretHash) })
	d.refused(t, "rotated twice from one secret", store.ErrConflict, func(tx *store.Tx) error { return tx.UpdateSession(rotated, session.SecretHash) })
	if got, err := by(session.SecretHash); err != nil || got.SecretHash != rotated.SecretHash {
		t.Errorf("by its former secret: %+v, %v", got, err)
	}
	d.ok(t, func(tx *store.Tx) error { return tx.RevokePrincipal(c.ID, noon) })
	d.refused(t, "revoked twice", store.ErrConflict, func(tx *store.Tx) error { return tx.RevokePrincipal(c.ID, noon) })
	if _, err := by(rotated.SecretHash); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a revoked principal's session: %v", err)
	}
	got := read(t, d, func(tx *store.Tx) (store.Credential, error) { return tx.Principal(c.ID) })
	if got.Revoked == nil || !got.Revoked.Equal(noon) {
		t.Errorf("%+v", got)
	}
}

func vault(t *testing.T, d db) {
	name := "secret.a" + d.tenant
	d.ok(t, func(tx *store.Tx) error { return tx.AddSetting(name, []byte{1}) })
	d.ok(t, func(tx *store.Tx) error { return tx.AddSetting("secretive"+d.tenant, []byte{2}) })
	got := read(t, d, func(tx *store.Tx) (map[string][]byte, error) { return tx.Settings("secret.") })
	if _, other := got["secretive"+d.tenant]; other || len(got[name]) != 1 {
		t.Errorf("settings of a prefix: %v", got)
	}
	p := store.Credential{Principal: access.Principal{ID: "v" + d.tenant, Name: "Eva", Role: access.ProviderSupport, Kind: access.Person}, CreatedAt: noon}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertPrincipal(p) })
	for id, days := range map[string]int{"tok-a": 3, "tok-b": 9} {
		tok := store.PersonalToken{ID: id + d.tenant, Principal: p.ID, SecretHash: id + d.tenant, Authenticated: noon, CreatedAt: noon, Expires: noon.AddDate(0, 0, days)}
		d.ok(t, func(tx *store.Tx) error { return tx.InsertPersonalToken(tok) })
	}
	longest := func(when time.Time) time.Duration {
		return read(t, d, func(tx *store.Tx) (time.Duration, error) { return tx.LongestProviderToken(when) })
	}
	if l := longest(noon); l != 9*24*time.Hour {
		t.Errorf("the longest token lives for %s", l)
	}
	d.ok(t, func(tx *store.Tx) error { return tx.RevokePersonalToken(p.ID, "tok-b"+d.tenant, noon) })
	if l := longest(noon); l != 3*24*time.Hour {
		t.Errorf("without the revoked one it lives for %s", l)
	}
	if l := longest(noon.AddDate(0, 0, 4)); l != 0 {
		t.Errorf("past them all it lives for %s", l)
	}
}

func enrolment(t *testing.T, d db) {
	tok := store.EnrolmentToken{ID: "e" + d.tenant, Tenant: d.tenant, VDC: d.vdc, SecretHash: "h", CreatedAt: noon, Expires: noon.Add(time.Hour)}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertEnrolmentToken(tok) })
	d.refused(t, "expired", store.ErrConflict, func(tx *store.Tx) error { return tx.UseEnrolmentToken(tok.ID, "a", noon.Add(time.Hour)) })
	won := make(chan bool)
	for i := range 8 {
		go func() {
			won <- d.Write(t.Context(), func(tx *store.Tx) error { return tx.UseEnrolmentToken(tok.ID, "a-"+strconv.Itoa(i), noon) }) == nil
		}()
	}
	n := 0
	for range 8 {
		if <-won {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d used one token", n)
	}
	a := store.Agent{ID: "a" + d.tenant, Tenant: d.tenant, VM: d.vm, PublicKey: "U" + d.tenant, EnrolledAt: noon}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertAgent(a) })
	twin := a
	twin.ID = "a-twin" + d.tenant
	d.refused(t, "one key twice", store.ErrConflict, func(tx *store.Tx) error { return tx.InsertAgent(twin) })
	d.ok(t, func(tx *store.Tx) error {
		known, err := tx.AgentsForIngest([]string{a.ID, "a-nobody"})
		if err != nil || len(known) != 1 {
			t.Errorf("%d agents, %v", len(known), err)
		}
		x := known[a.ID]
		x.SeenAt, x.Epoch, x.Sequence, x.Lost, x.Rejected = noon, "e", 9, 2, 1
		x.Rejections = []store.Rejection{{At: noon, Kind: "k", Reason: "r"}}
		return tx.AdvanceAgents([]store.AgentIngest{x})
	})
	got := read(t, d, func(tx *store.Tx) (map[string]store.AgentIngest, error) { return tx.AgentsIngest([]string{a.ID}) })[a.ID]
	if got.Sequence != 9 || got.Lost != 2 || got.Rejected != 1 || len(got.Rejections) != 1 || got.Tenant != d.tenant {
		t.Errorf("%+v", got)
	}
	d.ok(t, func(tx *store.Tx) error { return tx.RevokeAgent(a.ID, noon) })
	d.refused(t, "revoked twice", store.ErrConflict, func(tx *store.Tx) error { return tx.RevokeAgent(a.ID, noon) })
	d.refused(t, "a revoked agent advances", store.ErrConflict, func(tx *store.Tx) error { return tx.AdvanceAgents([]store.AgentIngest{got}) })
	if list := read(t, d, func(tx *store.Tx) ([]store.Agent, error) { return tx.AgentsOfVM(d.vm) }); len(list) != 0 {
		t.Errorf("a revoked agent watches: %+v", list)
	}
}

func idempotency(t *testing.T, d db) {
	p := "p" + d.tenant
	d.ok(t, func(tx *store.Tx) error { return tx.ClaimKey(p, "k", "request", noon) })
	d.refused(t, "claimed twice", store.ErrConflict, func(tx *store.Tx) error { return tx.ClaimKey(p, "k", "request", noon) })
	d.refused(t, "answer to another request", store.ErrConflict, func(tx *store.Tx) error {
		return tx.KeepAnswer(p, "k", store.Answer{Request: "other", Status: 201})
	})
	d.ok(t, func(tx *store.Tx) error { return tx.ReleaseKey(p, "k", noon.Add(-time.Second)) }) // too young to be released
	d.ok(t, func(tx *store.Tx) error {
		return tx.KeepAnswer(p, "k", store.Answer{Request: "request", Status: 201, Response: []byte{0, 255, 39}})
	})
	d.ok(t, func(tx *store.Tx) error { return tx.ReleaseKey(p, "k", noon.Add(time.Hour)) }) // answered: it stays
	got := read(t, d, func(tx *store.Tx) (store.Answer, error) { return tx.Answered(p, "k") })
	if got.Status != 201 || string(got.Response) != "\x00\xff'" || !got.Since.Equal(noon) {
		t.Errorf("%+v", got)
	}
	d.ok(t, func(tx *store.Tx) error { return tx.ClaimKey("other", "k", "request", noon) })
	d.ok(t, func(tx *store.Tx) error { return tx.ReleaseKey("other", "k", noon) })
	d.ok(t, func(tx *store.Tx) error { return tx.ForgetAnswers(noon.Add(time.Second)) })
	for _, who := range []string{p, "other"} {
		err := d.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Answered(who, "k"); return err })
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", who, err)
		}
	}
}

func settings(t *testing.T, d db) {
	name := "s." + d.tenant
	d.ok(t, func(tx *store.Tx) error { return tx.AddSetting(name, []byte{0, 1}) })
	d.refused(t, "added twice", store.ErrConflict, func(tx *store.Tx) error { return tx.AddSetting(name, []byte{2}) })
	d.ok(t, func(tx *store.Tx) error { return tx.PutSetting(name, []byte{3}) })
	if got := read(t, d, func(tx *store.Tx) ([]byte, error) { return tx.Setting(name) }); string(got) != "\x03" {
		t.Errorf("%v", got)
	}
}

func contacts(t *testing.T, d db) {
	c := store.SealedContact{ID: "c" + d.tenant, Tenant: d.tenant, Role: estate.Administrator, Sealed: []byte{0, 200, 39}, CreatedAt: noon}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertContact(&c) })
	stale := c
	c.Verified = &noon
	d.ok(t, func(tx *store.Tx) error { return tx.UpdateContact(&c) })
	d.refused(t, "stale version", store.ErrStale, func(tx *store.Tx) error { return tx.UpdateContact(&stale) })
	got := read(t, d, func(tx *store.Tx) (store.SealedContact, error) { return tx.Contact(d.tenant, c.ID) })
	if string(got.Sealed) != string(c.Sealed) || got.Verified == nil || got.Version != 2 {
		t.Errorf("%+v", got)
	}
	d.refused(t, "another tenant deletes", store.ErrConflict, func(tx *store.Tx) error { return tx.DeleteContact("t-nobody", c.ID, 2) })
	d.refused(t, "deleted at another version", store.ErrStale, func(tx *store.Tx) error { return tx.DeleteContact(d.tenant, c.ID, 1) })
	d.ok(t, func(tx *store.Tx) error { return tx.DeleteContact(d.tenant, c.ID, 2) })
	d.ok(t, func(tx *store.Tx) error { return tx.InsertTenantKey(d.tenant, []byte{1}) })
	d.refused(t, "a second key", store.ErrConflict, func(tx *store.Tx) error { return tx.InsertTenantKey(d.tenant, []byte{2}) })
}

func catalogues(t *testing.T, d db) {
	c := store.StoredCatalogue{Name: d.tenant, Version: "1", Source: "name: x\n", Digest: "d", From: noon}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertCatalogue(c) })
	d.refused(t, "one version twice", store.ErrConflict, func(tx *store.Tx) error { return tx.InsertCatalogue(c) })
	all := read(t, d, func(tx *store.Tx) ([]store.StoredCatalogue, error) { return tx.Catalogues() })
	if !slices.Contains(all, c) {
		t.Errorf("%+v", all)
	}
}
