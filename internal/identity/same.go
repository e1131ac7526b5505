package identity

import (
	"errors"
	"strings"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// Leave is told, within the transaction, that a principal was ended or has
// another role, so that what it holds by its former one can end with it.
type Leave func(tx *store.Tx, by access.Principal, now store.Credential) error

// left tells Left, if there is one.
func (i *Identities) left(tx *store.Tx, by access.Principal, id string) error {
	if i.Left == nil {
		return nil
	}
	c, err := tx.Principal(id)
	if err != nil {
		return err
	}
	return i.Left(tx, by, c)
}

// Named returns what a principal is called; empty if it was removed, or never was.
func (i *Identities) Named(tx *store.Tx, id string) (string, error) {
	p, err := i.known(tx, id)
	return p.Name, err
}

// Same reports whether two principals are one person: somebody who has a role
// with the provider and another with a customer signs in as either, and is
// known by the mail address.
func (i *Identities) Same(tx *store.Tx, a, b string) (bool, error) {
	if a == b {
		return true, nil
	}
	one, err := i.known(tx, a)
	if err != nil {
		return false, err
	}
	other, err := i.known(tx, b)
	return err == nil && one.Mail != "" && strings.EqualFold(one.Mail, other.Mail), err
}

// known is what is kept of a principal's person, or a service's name.
func (i *Identities) known(tx *store.Tx, id string) (personal, error) {
	s, err := tx.Person(id)
	if errors.Is(err, store.ErrNotFound) {
		c, err := tx.Principal(id)
		if errors.Is(err, store.ErrNotFound) {
			return personal{}, nil
		}
		return personal{Name: c.Name}, err
	}
	if err != nil {
		return personal{}, err
	}
	return i.openPersonal(tx, s.Tenant, "person/"+s.ID, s.Sealed)
}
