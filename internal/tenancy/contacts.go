package tenancy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"reflect"
	"regexp"
	"strings"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/store"
)

// personal is the part of a contact that is sealed under the tenant's key.
type personal struct {
	Name      string `json:"name"`
	Mail      string `json:"mail"`
	Telephone string `json:"telephone,omitempty"`
}

var telephone = regexp.MustCompile(`^\+?[0-9][0-9 ()./-]{4,30}$`)

// checkContact refuses what is not a name, a mail address and a telephone
// number. The values are never repeated in the error: they are personal data.
func checkContact(c estate.Contact) error {
	switch c.Role {
	case estate.Administrator, estate.SecurityContact, estate.BillingContact:
	default:
		return fmt.Errorf("%w: contact role %q is none of administrator, security, billing", estate.ErrInvalid, c.Role)
	}
	if n := strings.TrimSpace(c.Name); n == "" || len(n) > 100 || strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || (r >= '0' && r <= '9') }) {
		return fmt.Errorf("%w: a contact's name has 1 to 100 characters and no digits: numbers of identity documents are not kept", estate.ErrInvalid)
	}
	if a, err := mail.ParseAddress(c.Mail); err != nil || a.Address != c.Mail || len(c.Mail) > 254 {
		return fmt.Errorf("%w: a contact's mail must be one plain address such as name@example.org", estate.ErrInvalid)
	}
	if c.Telephone != "" && !telephone.MatchString(c.Telephone) {
		return fmt.Errorf("%w: a contact's telephone must be a number such as +43 1 234567", estate.ErrInvalid)
	}
	return nil
}

// key returns the tenant's data key.
func (e *Estate) key(tx *store.Tx, tenant string) (*keyring.DataKey, error) {
	wrapped, err := tx.TenantKey(tenant)
	if err != nil {
		return nil, err
	}
	if wrapped == nil {
		return nil, fmt.Errorf("tenant %s has no key: %w", tenant, store.ErrNotFound)
	}
	return e.Keys.DataKey(wrapped, "tenant/"+tenant)
}

func (e *Estate) seal(tx *store.Tx, c estate.Contact) ([]byte, error) {
	k, err := e.key(tx, c.Tenant)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(personal{c.Name, c.Mail, c.Telephone})
	if err != nil {
		return nil, err
	}
	return k.Seal(plain, "contact/"+c.ID)
}

func (e *Estate) unseal(tx *store.Tx, s store.SealedContact) (estate.Contact, error) {
	c := estate.Contact{ID: s.ID, Tenant: s.Tenant, Role: s.Role, Verified: s.Verified, CreatedAt: s.CreatedAt, Version: s.Version}
	k, err := e.key(tx, s.Tenant)
	if err != nil {
		return c, err
	}
	plain, err := k.Open(s.Sealed, "contact/"+s.ID)
	if err != nil {
		return c, err
	}
	var p personal
	if err := json.Unmarshal(plain, &p); err != nil {
		return c, fmt.Errorf("contact %s is damaged: %w", s.ID, err)
	}
	c.Name, c.Mail, c.Telephone = p.Name, p.Mail, p.Telephone
	return c, nil
}

// contactChange writes one contact with ledger entry and verdicts.
func (e *Estate) contactChange(ctx context.Context, by access.Principal, tenant, id, action string, f func(tx *store.Tx) error) error {
	return e.Store.Write(ctx, func(tx *store.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		if err := e.record(tx, by, tenant, action, "contact/"+id, nil); err != nil {
			return err
		}
		return e.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeTenant, Tenant: tenant, ID: tenant})
	})
}

// CreateContact adds a contact to c.Tenant.
func (e *Estate) CreateContact(ctx context.Context, by access.Principal, c estate.Contact) (estate.Contact, error) {
	c.ID, c.CreatedAt, c.Version, c.Verified = ident.New("c"), e.Now(), 1, nil
	if err := checkContact(c); err != nil {
		return c, err
	}
	err := e.contactChange(ctx, by, c.Tenant, c.ID, "contact.create", func(tx *store.Tx) error {
		sealed, err := e.seal(tx, c)
		if err != nil {
			return err
		}
		return tx.InsertContact(&store.SealedContact{ID: c.ID, Tenant: c.Tenant, Role: c.Role, Sealed: sealed, CreatedAt: c.CreatedAt})
	})
	return c, err
}

// ReplaceContact replaces role and personal data. It must be verified anew.
func (e *Estate) ReplaceContact(ctx context.Context, by access.Principal, c estate.Contact, version int64) (estate.Contact, error) {
	if err := checkContact(c); err != nil {
		return c, err
	}
	err := e.contactChange(ctx, by, c.Tenant, c.ID, "contact.change", func(tx *store.Tx) error {
		s, err := tx.Contact(c.Tenant, c.ID)
		if err != nil {
			return err
		}
		if version != 0 {
			s.Version = version
		}
		if s.Sealed, err = e.seal(tx, c); err != nil {
			return err
		}
		s.Role, s.Verified = c.Role, nil
		err = tx.UpdateContact(&s)
		c.CreatedAt, c.Version, c.Verified = s.CreatedAt, s.Version, nil
		return err
	})
	return c, err
}

// VerifyContact notes that the contact was found right today.
func (e *Estate) VerifyContact(ctx context.Context, by access.Principal, tenant, id string) (c estate.Contact, err error) {
	err = e.contactChange(ctx, by, tenant, id, "contact.verify", func(tx *store.Tx) error {
		s, err := tx.Contact(tenant, id)
		if err != nil {
			return err
		}
		now := e.Now()
		s.Verified = &now
		if err := tx.UpdateContact(&s); err != nil {
			return err
		}
		c, err = e.unseal(tx, s)
		return err
	})
	return c, err
}

// DeleteContact removes a contact, unless a VM names it as accountable: whose
// VM it is must be said by a person, not follow from a deletion.
func (e *Estate) DeleteContact(ctx context.Context, by access.Principal, tenant, id string, version int64) error {
	return e.contactChange(ctx, by, tenant, id, "contact.delete", func(tx *store.Tx) error {
		s, err := tx.Contact(tenant, id)
		if err != nil {
			return err
		}
		if version == 0 {
			version = s.Version
		}
		named, err := e.accountableFor(tx, tenant, id)
		if err != nil {
			return err
		}
		if len(named) > 0 {
			return fmt.Errorf("this contact answers for %s: name another accountable contact there first: %w", some(named), store.ErrConflict)
		}
		return tx.DeleteContact(tenant, id, version)
	})
}

// accountableFor returns the names of the VMs that the contact answers for.
func (e *Estate) accountableFor(tx *store.Tx, tenant, contact string) (names []string, err error) {
	err = eachVM(tx, tenant, func(vm estate.VM) error {
		if vm.Declared.Accountable == contact {
			names = append(names, vm.Name)
		}
		return nil
	})
	return names, err
}

// some lists names of VMs, the first few of many.
func some(names []string) string {
	const most = 10
	what := "the VM "
	if len(names) > 1 {
		what = "the VMs "
	}
	if n := len(names); n > most {
		return what + strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", n-most)
	}
	return what + strings.Join(names, ", ")
}

// Contacts lists a tenant's contacts in clear. A provider's read is recorded
// in the ledger: the customer sees who looked.
func (e *Estate) Contacts(ctx context.Context, by access.Principal, tenant string, p store.Page) (out []estate.Contact, err error) {
	read := func(tx *store.Tx) error {
		out = out[:0]
		list, err := tx.Contacts(tenant, p)
		if err != nil {
			return err
		}
		for _, s := range list {
			c, err := e.unseal(tx, s)
			if err != nil {
				return err
			}
			out = append(out, c)
		}
		if !by.OfProvider() || len(list) == 0 {
			return nil
		}
		return e.record(tx, by, tenant, "contact.read", "tenant/"+tenant, nil)
	}
	if by.OfProvider() {
		err = e.Store.Write(ctx, read)
	} else {
		err = e.Store.Read(ctx, read)
	}
	return out, err
}

// Contact returns one contact in clear, recorded like Contacts.
func (e *Estate) Contact(ctx context.Context, by access.Principal, tenant, id string) (c estate.Contact, err error) {
	read := func(tx *store.Tx) error {
		s, err := tx.Contact(tenant, id)
		if err != nil {
			return err
		}
		if c, err = e.unseal(tx, s); err != nil || !by.OfProvider() {
			return err
		}
		return e.record(tx, by, tenant, "contact.read", "contact/"+id, nil)
	}
	if by.OfProvider() {
		err = e.Store.Write(ctx, read)
	} else {
		err = e.Store.Read(ctx, read)
	}
	return c, err
}

// Unsealed returns a tenant's contacts in clear, within a transaction, for
// counting. What it returns must not leave the server.
func (e *Estate) Unsealed(tx *store.Tx, tenant string) ([]estate.Contact, error) {
	list, err := tx.Contacts(tenant, store.Page{})
	if err != nil {
		return nil, err
	}
	out := make([]estate.Contact, 0, len(list))
	for _, s := range list {
		c, err := e.unseal(tx, s)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// ContactForm says what personal data a contact can hold, and whether a number
// of an identity document is refused, by trying.
func ContactForm() (members []string, numbersRefused bool) {
	t := reflect.TypeFor[personal]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		members = append(members, name)
	}
	probe := estate.Contact{Role: estate.Administrator, Name: "Probe P1234567", Mail: "probe@example.org"}
	return members, checkContact(probe) != nil
}
