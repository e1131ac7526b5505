package identity

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Person is somebody who signs in.
type Person struct {
	ID, Name, Mail string
	Role           access.Role
	Tenant         string
	CreatedAt      time.Time
	Removed        *time.Time
	// Methods are the kinds of what the person signs in with; MFA tells
	// whether they make a second factor.
	Methods []string
	MFA     bool
	// Seen is when a session of the person was last used; zero if there is none.
	Seen time.Time
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// checkPersonal refuses what is not a name and a mail address. The values are
// not repeated in errors: they are personal data.
func checkPersonal(p personal) error {
	if n := strings.TrimSpace(p.Name); n == "" || len(n) > 100 || strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: a person's name has 1 to 100 characters and no control characters", estate.ErrInvalid)
	}
	if p.Mail == "" {
		return nil
	}
	if a, err := mail.ParseAddress(p.Mail); err != nil || a.Address != p.Mail || len(p.Mail) > 254 {
		return fmt.Errorf("%w: a person's mail must be one plain address such as name@example.org", estate.ErrInvalid)
	}
	return nil
}

// person opens what is sealed of a person and adds what it signs in with.
func (i *Identities) person(tx *store.Tx, s store.SealedPerson) (Person, error) {
	p := Person{ID: s.ID, Role: s.Role, Tenant: s.Tenant, CreatedAt: s.CreatedAt, Removed: s.Revoked}
	open, err := i.openPersonal(tx, s.Tenant, "person/"+s.ID, s.Sealed)
	if err != nil {
		return p, err
	}
	p.Name, p.Mail = open.Name, open.Mail
	all, err := tx.Authenticators(s.ID, "")
	if err != nil {
		return p, err
	}
	p.Methods, p.MFA = methods(all)
	p.Seen, err = tx.LastSeen(s.ID)
	return p, err
}

// methods returns the kinds of authenticators, and whether they make a second
// factor: a passkey with user verification is two factors in one, and an
// identity provider is asked for both.
func methods(all []store.Authenticator) (kinds []string, mfa bool) {
	has := map[string]bool{}
	for _, a := range all {
		if !has[a.Kind] {
			kinds = append(kinds, a.Kind)
		}
		has[a.Kind] = true
	}
	return kinds, has[kindPasskey] || has[kindOIDC] || (has[kindPassword] && has[kindTOTP])
}

// Kinds of authenticators.
const (
	kindPasskey  = "passkey"
	kindPassword = "password"
	kindTOTP     = "totp"
	kindOIDC     = "oidc"
)

// Person returns one person, removed ones too.
func (i *Identities) Person(ctx context.Context, id string) (p Person, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		s, err := tx.Person(id)
		if err != nil {
			return err
		}
		p, err = i.person(tx, s)
		return err
	})
	return p, err
}

// People lists the people of a tenant, removed ones too; the provider's if
// tenant is empty.
func (i *Identities) People(ctx context.Context, tenant string, page store.Page) (out []Person, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.People(tenant, page)
		if err != nil {
			return err
		}
		out = make([]Person, len(all))
		for n, s := range all {
			if out[n], err = i.person(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// HasOwner reports whether the tenant has an owner.
func (i *Identities) HasOwner(ctx context.Context, tenant string) (has bool, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		ids, err := tx.PeopleWithRole(tenant, access.CustomerOwner)
		has = len(ids) > 0
		return err
	})
	return has, err
}

// highest is the role of a side that must not be left without anybody.
func highest(tenant string) access.Role {
	if tenant == "" {
		return access.ProviderAdministrator
	}
	return access.CustomerOwner
}

// notLast refuses to take the highest role of its side from the only one who
// has it.
func notLast(tx *store.Tx, c store.Credential) error {
	top := highest(c.Tenant)
	if c.Role != top {
		return nil
	}
	if err := tx.LockPeople(c.Tenant); err != nil {
		return err
	}
	ids, err := tx.PeopleWithRole(c.Tenant, top)
	if err != nil {
		return err
	}
	if len(ids) == 1 && ids[0] == c.ID {
		return fmt.Errorf("this is the only person with the role %s: give it to another first: %w", top, store.ErrConflict)
	}
	return nil
}

func (i *Identities) recordPerson(tx *store.Tx, by access.Principal, tenant, action, id string) error {
	_, err := i.Ledger.Append(tx, ledger.Entry{Time: i.Now(), Tenant: tenant, Actor: by.Actor(), Action: action, Subject: "person/" + id})
	return err
}

// Remove ends a person: sessions, tokens and all that signs in end at once,
// name and mail are forgotten. The id stays, for the ledger names it.
func (i *Identities) Remove(ctx context.Context, by access.Principal, id string) (p Person, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		s, err := tx.Person(id)
		if err != nil {
			return err
		}
		if s.Revoked != nil {
			return fmt.Errorf("this person was removed already: %w", store.ErrConflict)
		}
		if err := notLast(tx, s.Credential); err != nil {
			return err
		}
		now := i.Now()
		if err := tx.RevokePrincipal(id, now); err != nil {
			return err
		}
		if err := tx.ForgetPerson(id, now); err != nil {
			return err
		}
		p = Person{ID: id, Role: s.Role, Tenant: s.Tenant, CreatedAt: s.CreatedAt, Removed: &now}
		if err := i.left(tx, by, id); err != nil {
			return err
		}
		return i.recordPerson(tx, by, s.Tenant, "person.remove", id)
	})
	return p, err
}

// ChangeRole gives a person another role of its side. It counts from the next
// request of the person on.
func (i *Identities) ChangeRole(ctx context.Context, by access.Principal, id string, role access.Role) (p Person, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		s, err := tx.Person(id)
		if err != nil {
			return err
		}
		if !role.Known() || role.Side() != s.Role.Side() {
			return fmt.Errorf("%w: %q is no role of the person's side", estate.ErrInvalid, role)
		}
		if s.Revoked != nil {
			return fmt.Errorf("this person was removed: %w", store.ErrConflict)
		}
		if role != s.Role {
			if err := notLast(tx, s.Credential); err != nil {
				return err
			}
		}
		if err := tx.SetRole(id, role); err != nil {
			return err
		}
		s.Role = role
		if p, err = i.person(tx, s); err != nil {
			return err
		}
		if err := i.left(tx, by, id); err != nil {
			return err
		}
		if err := i.recordPerson(tx, by, s.Tenant, "person.role."+string(role), id); err != nil {
			return err
		}
		return i.settleIn(tx)
	})
	return p, err
}

// settleIn tells, once tx is durable, that the provider has an administrator
// with a second factor, if it has.
func (i *Identities) settleIn(tx *store.Tx) error {
	settled, err := settled(tx)
	if err == nil && settled && i.Settled != nil {
		tx.OnCommit(i.Settled)
	}
	return err
}

func settled(tx *store.Tx) (bool, error) {
	ids, err := tx.PeopleWithRole("", access.ProviderAdministrator)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		all, err := tx.Authenticators(id, "")
		if err != nil {
			return false, err
		}
		if _, mfa := methods(all); mfa {
			return true, nil
		}
	}
	return false, nil
}

// SetUp tells whether the first start's credential stands, and whether the
// provider has an administrator with a second factor.
func (i *Identities) SetUp(tx *store.Tx, now time.Time) (credential, finished bool, err error) {
	if credential, finished, err = tx.SetUp(now); err == nil && !finished {
		finished, err = settled(tx)
	}
	return credential, finished, err
}
