package identity_test

import (
	"errors"
	"testing"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

func TestSameAndNamed(t *testing.T) {
	ids, _, _ := setUp(t)
	tenantWithKey(t, ids, "t-1")
	join := func(role access.Role, tenant, name, mail, login string) access.Principal {
		_, secret, err := ids.Invite(t.Context(), root, identity.Invitation{Name: name, Mail: mail, Role: role, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		e, err := ids.JoinWithPassword(t.Context(), here, secret, login, goodPassword)
		if err != nil {
			t.Fatal(err)
		}
		return acting(t, ids, e.Secret)
	}
	eva := join(access.ProviderOperator, "", "Eva", "eva@example.org", "eva-provider")
	twin := join(access.CustomerApprover, "t-1", "Eva M.", "Eva@Example.org", "eva-customer")
	anna := join(access.CustomerApprover, "t-1", "Anna", "anna@example.org", "anna")
	first, second := join(access.CustomerViewer, "t-1", "A", "", "first"), join(access.CustomerViewer, "t-1", "B", "", "second")
	same := func(a, b string) (ok bool) {
		err := ids.Store.Read(t.Context(), func(tx *store.Tx) (err error) {
			ok, err = ids.Same(tx, a, b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{eva.ID, eva.ID, true}, {eva.ID, twin.ID, true}, {twin.ID, eva.ID, true}, {eva.ID, anna.ID, false}, {first.ID, second.ID, false},
		{eva.ID, "p-none", false}, {"p-none", "p-none", true}, {"p-none", "p-none-either", false},
	} {
		if same(c.a, c.b) != c.want {
			t.Errorf("%s and %s are one person: %v", c.a, c.b, !c.want)
		}
	}
	named := func(id string) (name string) {
		err := ids.Store.Read(t.Context(), func(tx *store.Tx) (err error) {
			name, err = ids.Named(tx, id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	if named(eva.ID) != "Eva" || named("p-none") != "" {
		t.Errorf("%q, %q", named(eva.ID), named("p-none"))
	}
	if _, err := ids.Remove(t.Context(), root, anna.ID); err != nil {
		t.Fatal(err)
	}
	if named(anna.ID) != "" {
		t.Error("the name of somebody who was removed")
	}
}

// Who holds something by a role is told of within the transaction, and can
// refuse it.
func TestLeft(t *testing.T) {
	ids, _, _ := setUp(t)
	tenantWithKey(t, ids, "t-1")
	p, _ := withPassword(t, ids, access.CustomerApprover, "t-1", "Anna")
	var told []store.Credential
	refusal := errors.New("something cannot end")
	fail := error(nil)
	ids.Left = func(_ *store.Tx, by access.Principal, now store.Credential) error {
		if by.ID != root.ID || now.ID != p.ID {
			t.Errorf("%s left, by %s", now.ID, by.ID)
		}
		told = append(told, now)
		return fail
	}
	if _, err := ids.ChangeRole(t.Context(), root, p.ID, access.CustomerViewer); err != nil {
		t.Fatal(err)
	}
	fail = refusal
	if _, err := ids.Remove(t.Context(), root, p.ID); !errors.Is(err, refusal) {
		t.Errorf("%v", err)
	}
	if got, err := ids.Person(t.Context(), p.ID); err != nil || got.Removed != nil {
		t.Errorf("removed all the same: %+v, %v", got, err)
	}
	fail = nil
	if _, err := ids.Remove(t.Context(), root, p.ID); err != nil {
		t.Fatal(err)
	}
	if len(told) != 3 || told[0].Role != access.CustomerViewer || told[0].Revoked != nil || told[2].Revoked == nil {
		t.Errorf("told %+v", told)
	}
}
