package store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

func (d db) session(what, principal string) store.Session {
	return store.Session{
		ID: what + "-id" + d.tenant, Principal: principal, SecretHash: what + d.tenant, MFA: true, Method: "passkey", Client: "Firefox",
		CreatedAt: noon, Authenticated: noon, Seen: noon, Rotated: noon, Expires: noon.Add(time.Hour),
	}
}

func (d db) person(t *testing.T, what string, role access.Role) string {
	t.Helper()
	id := "p-" + what + d.tenant
	d.ok(t, func(tx *store.Tx) error {
		return tx.InsertPerson(store.SealedPerson{
			Credential: store.Credential{Principal: access.Principal{ID: id, Role: role, Tenant: d.tenant, Kind: access.Person}, CreatedAt: noon},
			Handle:     "h-" + id, Sealed: []byte("sealed " + what),
		})
	})
	return id
}

func people(t *testing.T, d db) {
	id := d.person(t, "owner", access.CustomerOwner)
	got := read(t, d, func(tx *store.Tx) (store.SealedPerson, error) { return tx.PersonByHandle("h-" + id) })
	if got.ID != id || got.Role != access.CustomerOwner || got.Kind != access.Person || string(got.Sealed) != "sealed owner" {
		t.Errorf("%+v", got)
	}
	d.ok(t, func(tx *store.Tx) error {
		if err := tx.InsertSession(d.session("gone", id)); err != nil {
			return err
		}
		if err := tx.InsertPersonalToken(store.PersonalToken{ID: "k" + d.tenant, Principal: id, Name: "ci", CreatedAt: noon, Expires: noon.Add(time.Hour)}); err != nil {
			return err
		}
		return tx.InsertAuthenticator(store.Authenticator{ID: "a" + d.tenant, Principal: id, Kind: "totp", Lookup: id, Sealed: []byte{1}, CreatedAt: noon})
	})
	d.ok(t, func(tx *store.Tx) error { return tx.SetRole(id, access.CustomerViewer) })
	if ids := read(t, d, func(tx *store.Tx) ([]string, error) { return tx.PeopleWithRole(d.tenant, access.CustomerViewer) }); len(ids) != 1 || ids[0] != id {
		t.Errorf("%v", ids)
	}
	d.ok(t, func(tx *store.Tx) error {
		if err := tx.RevokePrincipal(id, noon); err != nil {
			return err
		}
		return tx.ForgetPerson(id, noon)
	})
	d.ok(t, func(tx *store.Tx) error {
		p, err := tx.Person(id)
		if err != nil || len(p.Sealed) != 0 || p.Revoked == nil {
			t.Errorf("%+v, %v", p, err)
		}
		tok, err := tx.PersonalToken("k" + d.tenant)
		if err != nil || tok.Revoked == nil || tok.Scope != nil {
			t.Errorf("%+v, %v", tok, err)
		}
		as, err := tx.Authenticators(id, "")
		if len(as) != 0 {
			t.Errorf("%+v", as)
		}
		return err
	})
	d.refused(t, "a role of who was removed", store.ErrConflict, func(tx *store.Tx) error { return tx.SetRole(id, access.CustomerOwner) })
	if ids := read(t, d, func(tx *store.Tx) ([]string, error) { return tx.PeopleWithRole(d.tenant, access.CustomerViewer) }); len(ids) != 0 {
		t.Errorf("%v", ids)
	}
}

func sessions(t *testing.T, d db) {
	id := d.person(t, "sessions", access.CustomerViewer)
	s := d.session("first", id)
	d.ok(t, func(tx *store.Tx) error { return tx.InsertSession(s) })
	next := s
	next.SecretHash, next.FormerHash, next.FormerUntil = "second"+d.tenant, s.SecretHash, noon.Add(time.Minute)
	d.ok(t, func(tx *store.Tx) error { return tx.UpdateSession(next, s.SecretHash) })
	d.refused(t, "a session whose secret is another now", store.ErrConflict, func(tx *store.Tx) error { return tx.UpdateSession(next, s.SecretHash) })
	for _, secret := range []string{s.SecretHash, next.SecretHash} {
		if got := read(t, d, func(tx *store.Tx) (store.Session, error) { return tx.SessionBySecret(secret) }); got != next {
			t.Errorf("%+v, want %+v", got, next)
		}
	}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertSession(d.session("other", id)) })
	d.ok(t, func(tx *store.Tx) error { return tx.EndSessions(id, s.ID) })
	if all := read(t, d, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(id) }); len(all) != 1 || all[0].ID != s.ID {
		t.Errorf("%+v", all)
	}
	d.ok(t, func(tx *store.Tx) error {
		return tx.InsertCeremony(store.Ceremony{SecretHash: "c" + d.tenant, Kind: "totp", Sealed: []byte("x"), Expires: noon})
	})
	if c := read(t, d, func(tx *store.Tx) (store.Ceremony, error) { return tx.Ceremony("c"+d.tenant, "totp") }); !bytes.Equal(c.Sealed, []byte("x")) || !c.Expires.Equal(noon) {
		t.Errorf("%+v", c)
	}
	d.refused(t, "a ceremony of another kind", store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Ceremony("c"+d.tenant, "passkey"); return err })
	d.ok(t, func(tx *store.Tx) error { return tx.TakeCeremony("c" + d.tenant) })
	d.refused(t, "a ceremony twice", store.ErrConflict, func(tx *store.Tx) error { return tx.TakeCeremony("c" + d.tenant) })
	d.ok(t, func(tx *store.Tx) error { return tx.ForgetIdentity(noon.Add(time.Hour), noon) })
	if all := read(t, d, func(tx *store.Tx) ([]store.Session, error) { return tx.Sessions(id) }); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

func signIn(t *testing.T, d db) {
	id := d.person(t, "signin", access.CustomerViewer)
	a := store.Authenticator{ID: "a" + d.tenant, Principal: id, Kind: "passkey", Lookup: "cred" + d.tenant, Sealed: []byte("key"), Counter: 4, CreatedAt: noon}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertAuthenticator(a) })
	twin := a
	twin.ID += "x"
	d.refused(t, "a credential twice", store.ErrConflict, func(tx *store.Tx) error { return tx.InsertAuthenticator(twin) })
	d.ok(t, func(tx *store.Tx) error { return tx.AdvanceAuthenticator(a.ID, 4, 7, noon) })
	d.refused(t, "a counter that another moved", store.ErrConflict, func(tx *store.Tx) error { return tx.AdvanceAuthenticator(a.ID, 4, 8, noon) })
	d.ok(t, func(tx *store.Tx) error {
		return tx.ReplaceRecoveryCodes(id, []string{"one", "two"}, noon.Add(time.Hour))
	})
	d.ok(t, func(tx *store.Tx) error { return tx.UseRecoveryCode(id, "one", noon) })
	d.refused(t, "a recovery code twice", store.ErrConflict, func(tx *store.Tx) error { return tx.UseRecoveryCode(id, "one", noon) })
	d.refused(t, "an expired recovery code", store.ErrConflict, func(tx *store.Tx) error { return tx.UseRecoveryCode(id, "two", noon.Add(time.Hour)) })
	d.ok(t, func(tx *store.Tx) error {
		left, until, err := tx.RecoveryCodes(id, noon)
		if left != 1 || !until.Equal(noon.Add(time.Hour)) {
			t.Errorf("%d until %s", left, until)
		}
		return err
	})
	v := store.SealedInvitation{ID: "i" + d.tenant, Tenant: d.tenant, Role: access.CustomerOwner, FirstOwner: true, SecretHash: "inv" + d.tenant, Sealed: []byte("n"), By: "x", CreatedAt: noon, Expires: noon.Add(time.Hour)}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertInvitation(v) })
	d.refused(t, "an expired invitation", store.ErrConflict, func(tx *store.Tx) error { return tx.UseInvitation(v.ID, id, noon.Add(time.Hour)) })
	d.ok(t, func(tx *store.Tx) error { return tx.UseInvitation(v.ID, id, noon) })
	late := v
	late.ID, late.SecretHash = "late"+d.tenant, "late"+d.tenant
	d.ok(t, func(tx *store.Tx) error { return tx.InsertInvitation(late) })
	d.ok(t, func(tx *store.Tx) error { return tx.ForgetIdentity(late.Expires, noon) })
	if got := read(t, d, func(tx *store.Tx) (store.SealedInvitation, error) { return tx.Invitation(late.ID) }); len(got.Sealed) != 0 {
		t.Errorf("whom an expired invitation named is kept: %q", got.Sealed)
	}
	d.refused(t, "an invitation twice", store.ErrConflict, func(tx *store.Tx) error { return tx.UseInvitation(v.ID, id, noon) })
	d.refused(t, "a used invitation revoked", store.ErrConflict, func(tx *store.Tx) error { return tx.RevokeInvitation(v.ID, noon) })
	d.ok(t, func(tx *store.Tx) error { return tx.SetAttempts("who"+d.tenant, 3, noon) })
	d.ok(t, func(tx *store.Tx) error { return tx.SetAttempts("who"+d.tenant, 4, noon) })
	d.ok(t, func(tx *store.Tx) error {
		n, last, err := tx.Attempts("who" + d.tenant)
		if n != 4 || !last.Equal(noon) {
			t.Errorf("%d at %s", n, last)
		}
		return err
	})
	login := store.DeviceLogin{SecretHash: "dev" + d.tenant, UserCode: "CODE" + d.tenant, Client: "cli", CreatedAt: noon, Expires: noon.Add(time.Hour), State: "pending"}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertDeviceLogin(login) })
	login.State, login.Principal, login.MFA = "confirmed", id, true
	d.ok(t, func(tx *store.Tx) error { return tx.AnswerDeviceLogin(login) })
	d.refused(t, "a command line answered twice", store.ErrConflict, func(tx *store.Tx) error { return tx.AnswerDeviceLogin(login) })
	if got := read(t, d, func(tx *store.Tx) (store.DeviceLogin, error) { return tx.DeviceLogin(login.SecretHash) }); got.Principal != id || !got.MFA {
		t.Errorf("%+v", got)
	}
	p := store.IdentityProvider{ID: "op" + d.tenant, Tenant: d.tenant, Name: "Own", Issuer: "https://op.example", ClientID: "demarc", Sealed: []byte("s"), MFA: []string{"mfa", "hwk"}, CreatedAt: noon}
	d.ok(t, func(tx *store.Tx) error { return tx.InsertIdentityProvider(p) })
	if got := read(t, d, func(tx *store.Tx) ([]store.IdentityProvider, error) { return tx.IdentityProviders(d.tenant) }); len(got) != 1 || len(got[0].MFA) != 2 {
		t.Errorf("%+v", got)
	}
}
