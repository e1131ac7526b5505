package tenancy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/tenancy"
)

func TestEveryChangeIsRecordedAndJudged(t *testing.T) {
	r := newRig(t)
	tenant, vdc, vm := r.home(t, "acme")
	for i, want := range []string{"tenant.create tenant/" + tenant.ID, "vdc.create vdc/" + vdc.ID, "vm.register vm/" + vm.ID} {
		if e := r.entries[i]; e.Action+" "+e.Subject != want || e.Tenant != tenant.ID || e.Actor != admin.Actor() {
			t.Errorf("entry %d is %+v, want %s", i, e, want)
		}
	}
	for _, s := range []evidence.Subject{
		{Scope: evidence.ScopeTenant, Tenant: tenant.ID, ID: tenant.ID}, {Scope: evidence.ScopeVDC, Tenant: tenant.ID, ID: vdc.ID}, {Scope: evidence.ScopeVM, Tenant: tenant.ID, ID: vm.ID},
	} {
		if !r.wasJudged(s) {
			t.Errorf("%+v was not judged", s)
		}
	}
	renamed, err := r.RenameTenant(t.Context(), admin, tenant.ID, "acme2", tenant.Version)
	if err != nil || renamed.Name != "acme2" || renamed.Version != tenant.Version+1 {
		t.Errorf("%+v, %v", renamed, err)
	}
	_, err = r.RenameTenant(t.Context(), admin, tenant.ID, "acme3", tenant.Version)
	want(t, "stale version", err, store.ErrStale)
}

// TestNothingWithoutTheLedger: what the ledger cannot tell of does not happen.
func TestNothingWithoutTheLedger(t *testing.T) {
	r := newRig(t)
	tenant, _, vm := r.home(t, "acme")
	r.failing = errors.New("no ledger")
	ctx := t.Context()
	_, err := r.CreateTenant(ctx, admin, "other", false)
	want(t, "tenant", err, r.failing)
	_, err = r.DeclareVM(ctx, admin, tenant.ID, vm.ID, estate.Declaration{Role: "web"}, 0)
	want(t, "declaration", err, r.failing)
	_, err = r.CreateContact(ctx, admin, estate.Contact{Tenant: tenant.ID, Role: estate.Administrator, Name: "Eva", Mail: "eva@example.org"})
	want(t, "contact", err, r.failing)
	_, err = r.Subscribe(ctx, admin, tenant.ID, "backup", "", "", time.Time{}, nil)
	want(t, "subscription", err, r.failing)
	_, err = r.Waive(ctx, admin, r, tenancy.Claim{Duty: "D/attested", Subject: evidence.Subject{Scope: evidence.ScopeTenant, Tenant: tenant.ID, ID: tenant.ID}, Text: "because", Expires: r.now.Add(time.Hour)})
	want(t, "waiver", err, r.failing)
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		tenants, _ := tx.Tenants(store.Page{})
		contacts, _ := tx.Contacts(tenant.ID, store.Page{})
		subs, _ := tx.Subscriptions(tenant.ID)
		waivers, _ := tx.WaiverList(tenant.ID, store.Page{})
		got, _ := tx.VM(tenant.ID, vm.ID)
		if len(tenants) != 1 || len(contacts)+len(subs)+len(waivers) != 0 || got.Declared.Role != "" {
			t.Errorf("%d tenants, %d contacts, %d subscriptions, %d waivers, %+v", len(tenants), len(contacts), len(subs), len(waivers), got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A contact is shown to the provider only if that can be told.
	_, err = r.Contacts(ctx, admin, tenant.ID, store.Page{})
	if err != nil {
		t.Errorf("an empty list needs no entry: %v", err)
	}
}

func TestNoTenantWithoutABus(t *testing.T) {
	r := newRig(t)
	r.noBus = errors.New("no bus")
	_, err := r.CreateTenant(t.Context(), admin, "acme", false)
	want(t, "no bus", err, r.noBus)
	err = r.Store.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Tenant("acme"); return err })
	want(t, "the tenant", err, store.ErrNotFound)
}

func TestNames(t *testing.T) {
	r := newRig(t)
	tenant, _, _ := r.home(t, "acme")
	for _, bad := range []string{"", "A", "-a", "a-", "a b", "a/b", strings.Repeat("a", 64), "ä", "a\x00"} {
		_, err := r.CreateTenant(t.Context(), admin, bad, false)
		want(t, fmt.Sprintf("tenant %q", bad), err, estate.ErrInvalid)
		_, err = r.CreateVDC(t.Context(), admin, tenant.ID, bad)
		want(t, fmt.Sprintf("VDC %q", bad), err, estate.ErrInvalid)
		_, err = r.RegisterVM(t.Context(), admin, tenant.ID, "main", bad, estate.Declaration{})
		want(t, fmt.Sprintf("VM %q", bad), err, estate.ErrInvalid)
	}
	_, err := r.RegisterVM(t.Context(), admin, tenant.ID, "main", "web", estate.Declaration{})
	want(t, "VM name taken", err, store.ErrConflict)
	_, err = r.DeclareVM(t.Context(), admin, tenant.ID, "web", estate.Declaration{SensitivePaths: []string{"relative"}}, 0)
	want(t, "relative path", err, estate.ErrInvalid)
}

func TestContacts(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	tenant, _, _ := r.home(t, "acme")
	other, _, _ := r.home(t, "other")
	own := access.Principal{ID: "p-2", Role: access.CustomerAdministrator, Tenant: tenant.ID}
	eva := estate.Contact{Tenant: tenant.ID, Role: estate.SecurityContact, Name: "Eva Maier", Mail: "eva@example.org", Telephone: "+43 1 234567"}
	made, err := r.CreateContact(ctx, own, eva)
	if err != nil {
		t.Fatal(err)
	}
	n := len(r.entries)
	got, err := r.Contact(ctx, own, tenant.ID, made.ID)
	if err != nil || got.Name != eva.Name || got.Mail != eva.Mail || got.Telephone != eva.Telephone || got.Verified != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if len(r.entries) != n {
		t.Error("a customer's own look is recorded")
	}
	if _, err := r.Contact(ctx, admin, tenant.ID, made.ID); err != nil || r.last().Action != "contact.read" || r.last().Tenant != tenant.ID {
		t.Errorf("the provider's look: %+v, %v", r.last(), err)
	}
	_, err = r.Contact(ctx, own, other.ID, made.ID)
	want(t, "through another tenant", err, store.ErrNotFound)
	verified, err := r.VerifyContact(ctx, own, tenant.ID, made.ID)
	if err != nil || verified.Verified == nil || !verified.Verified.Equal(r.now) || verified.Name != eva.Name {
		t.Errorf("%+v, %v", verified, err)
	}
	eva.ID, eva.Mail = made.ID, "new@example.org"
	replaced, err := r.ReplaceContact(ctx, own, eva, verified.Version)
	if err != nil || replaced.Verified != nil || replaced.Version != verified.Version+1 {
		t.Errorf("a replaced contact must be verified anew: %+v, %v", replaced, err)
	}
	_, err = r.ReplaceContact(ctx, own, eva, verified.Version)
	want(t, "stale version", err, store.ErrStale)
	for _, e := range r.entries {
		if text := fmt.Sprint(e); strings.Contains(text, "Eva") || strings.Contains(text, "example.org") || strings.Contains(text, "234567") {
			t.Errorf("the ledger holds personal data: %s", text)
		}
	}
	want(t, "another tenant deletes", r.DeleteContact(ctx, own, other.ID, made.ID, 0), store.ErrNotFound)
	if err := r.DeleteContact(ctx, own, tenant.ID, made.ID, replaced.Version); err != nil {
		t.Error(err)
	}
}

func TestAccountable(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	tenant, _, vm := r.home(t, "acme")
	c, err := r.CreateContact(ctx, admin, estate.Contact{Tenant: tenant.ID, Role: estate.Administrator, Name: "Eva", Mail: "eva@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if _, err := r.RegisterVM(ctx, admin, tenant.ID, "main", fmt.Sprintf("vm-%02d", i), estate.Declaration{Accountable: c.ID}); err != nil {
			t.Fatal(err)
		}
	}
	err = r.DeleteContact(ctx, admin, tenant.ID, c.ID, 0)
	want(t, "a contact in use", err, store.ErrConflict)
	if err == nil || !strings.Contains(err.Error(), "vm-00") || !strings.Contains(err.Error(), "and 2 more") {
		t.Errorf("it does not name the VMs: %v", err)
	}
	_, err = r.DeclareVM(ctx, admin, tenant.ID, vm.ID, estate.Declaration{Accountable: "c-nobody"}, 0)
	want(t, "nobody", err, estate.ErrInvalid)
	other, _, _ := r.home(t, "other")
	foreign, err := r.CreateContact(ctx, admin, estate.Contact{Tenant: other.ID, Role: estate.Administrator, Name: "Udo", Mail: "udo@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.RegisterVM(ctx, admin, tenant.ID, "main", "late", estate.Declaration{Accountable: foreign.ID})
	want(t, "another tenant's contact", err, estate.ErrInvalid)
}

func TestSubscriptions(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	tenant, vdc, vm := r.home(t, "acme")
	past, future := r.now.Add(-time.Hour), r.now.Add(time.Hour)
	buy := func(service, vdc, vm string, from time.Time, to *time.Time) error {
		_, err := r.Subscribe(ctx, admin, tenant.ID, service, vdc, vm, from, to)
		return err
	}
	want(t, "unknown service", buy("nonesuch", "", "", time.Time{}, nil), estate.ErrInvalid)
	want(t, "VM and VDC", buy("backup", vdc.ID, vm.ID, time.Time{}, nil), estate.ErrInvalid)
	want(t, "in the past", buy("backup", "", "", past, nil), estate.ErrInvalid)
	want(t, "ends before it begins", buy("backup", "", "", future, &r.now), estate.ErrInvalid)
	want(t, "no such VM", buy("backup", "", "nobody", time.Time{}, nil), store.ErrNotFound)
	r.judged = nil
	s, err := r.Subscribe(ctx, admin, tenant.ID, "backup", "", "web", time.Time{}, nil)
	if err != nil || s.Covers.VM != vm.ID || !s.From.Equal(r.now) {
		t.Fatalf("%+v, %v", s, err)
	}
	if !r.wasJudged(evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant.ID, ID: vm.ID}) {
		t.Error("the VM was not judged")
	}
	_, err = r.EndSubscription(ctx, admin, tenant.ID, s.ID, past)
	want(t, "ends in the past", err, estate.ErrInvalid)
	ended, err := r.EndSubscription(ctx, admin, tenant.ID, s.ID, time.Time{})
	if err != nil || ended.To == nil || !ended.To.Equal(r.now) {
		t.Fatalf("%+v, %v", ended, err)
	}
	r.now = r.now.Add(time.Hour)
	_, err = r.EndSubscription(ctx, admin, tenant.ID, s.ID, r.now.Add(time.Hour))
	want(t, "an ended one", err, store.ErrConflict)
	later, err := r.Subscribe(ctx, admin, tenant.ID, "encryption", "main", "", r.now.Add(24*time.Hour), nil)
	if err != nil || later.Covers.VDC != vdc.ID {
		t.Fatalf("%+v, %v", later, err)
	}
	withdrawn, err := r.EndSubscription(ctx, admin, tenant.ID, later.ID, time.Time{})
	if err != nil || withdrawn.To == nil || !withdrawn.To.Equal(later.From) {
		t.Errorf("one that has not begun ends as it begins: %+v, %v", withdrawn, err)
	}
}

func TestStatements(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	tenant, _, vm := r.home(t, "acme")
	whole := evidence.Subject{Scope: evidence.ScopeTenant, Tenant: tenant.ID, ID: tenant.ID}
	one := evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant.ID, ID: vm.ID}
	good := tenancy.Claim{Duty: "D/attested", Subject: whole, Text: "It is so.", Expires: r.now.Add(24 * time.Hour)}
	with := func(change func(*tenancy.Claim)) tenancy.Claim { c := good; change(&c); return c }
	for what, c := range map[string]tenancy.Claim{
		"too short":          with(func(c *tenancy.Claim) { c.Text = "ok" }),
		"too long":           with(func(c *tenancy.Claim) { c.Text = strings.Repeat("x", 4001) }),
		"control characters": with(func(c *tenancy.Claim) { c.Text = "because\x00of" }),
		"in the past":        with(func(c *tenancy.Claim) { c.Effective = r.now.Add(-time.Hour) }),
		"expired":            with(func(c *tenancy.Claim) { c.Expires = r.now }),
		"too far":            with(func(c *tenancy.Claim) { c.Expires = r.now.Add(31 * 24 * time.Hour) }),
		"assessed duty":      with(func(c *tenancy.Claim) { c.Duty = "D/assessed" }),
		"about a VM":         with(func(c *tenancy.Claim) { c.Subject = one }),
		"bad digest":         with(func(c *tenancy.Claim) { c.Attachments = []evidence.Attachment{{Name: "a", Digest: "md5:0"}} }),
		"no attachment name": with(func(c *tenancy.Claim) {
			c.Attachments = []evidence.Attachment{{Digest: "sha256:" + strings.Repeat("0", 64)}}
		}),
	} {
		_, err := r.Attest(ctx, admin, r, c)
		want(t, what, err, estate.ErrInvalid)
	}
	_, err := r.Attest(ctx, admin, r, with(func(c *tenancy.Claim) { c.Duty = "D/none" }))
	want(t, "unknown duty", err, store.ErrNotFound)
	_, err = r.Waive(ctx, admin, r, with(func(c *tenancy.Claim) { c.Duty = "D/provider" }))
	want(t, "the provider's duty", err, estate.ErrInvalid)
	_, err = r.Waive(ctx, admin, r, with(func(c *tenancy.Claim) { c.Expires = r.now.Add(tenancy.MaxWaiver + time.Hour) }))
	want(t, "a waiver for ever", err, estate.ErrInvalid)
	_, err = r.Attest(ctx, admin, r, good)
	want(t, "the provider states the customer's duty", err, estate.ErrInvalid)
	owner := access.Principal{ID: "p-2", Role: access.CustomerOwner, Tenant: tenant.ID}
	r.judged = nil
	a, err := r.Attest(ctx, owner, r, good)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.last(); e.Action != "attestation.create" || !strings.HasPrefix(e.Digests["statement"], "sha256:") || e.Subject != "attestation/"+a.ID {
		t.Errorf("%+v", e)
	}
	if !r.wasJudged(whole) || !r.wasJudged(one) {
		t.Errorf("a statement about the tenant concerns its VMs: %+v", r.judged)
	}
	w, err := r.Waive(ctx, admin, r, with(func(c *tenancy.Claim) { c.Duty, c.Subject = "hardening/rule", one }))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "another tenant's", r.Withdraw(ctx, admin, "waiver", "t-nobody", w.ID), store.ErrNotFound)
	if err := r.Withdraw(ctx, admin, "waiver", tenant.ID, w.ID); err != nil {
		t.Error(err)
	}
	want(t, "withdrawn twice", r.Withdraw(ctx, admin, "waiver", tenant.ID, w.ID), store.ErrConflict)
	if err := r.Withdraw(ctx, admin, "attestation", tenant.ID, a.ID); err != nil {
		t.Error(err)
	}
}

func TestPolicies(t *testing.T) {
	r := newRig(t)
	tenant, _, vm := r.home(t, "acme")
	for i := range 2 {
		p, err := r.SetPolicy(t.Context(), admin, tenant.ID, "web", "hardening", []byte(`{}`))
		if err != nil || p.Version != int64(i+1) || p.Subject.ID != vm.ID {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if p, err := r.SetPolicy(t.Context(), admin, tenant.ID, "", "hardening", []byte(`{}`)); err != nil || p.Subject.Scope != evidence.ScopeTenant || p.Version != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	_, err := r.SetPolicy(t.Context(), admin, tenant.ID, "nobody", "hardening", nil)
	want(t, "no such VM", err, store.ErrNotFound)
}
