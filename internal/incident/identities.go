// Package incident opens incidents where an identity of the provider's people
// is seen to have logged in to a customer's machine, and keeps the register of
// these identities: names of accounts, fingerprints of SSH keys and networks.
// There is no permission for a guest login, so that each one seen is an
// incident, which only the customer can close.
package incident

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Kinds of identity.
const (
	Account     = "account"     // name of an account of an operating system
	Fingerprint = "fingerprint" // of an SSH key, as ssh-keygen -l prints it
	Address     = "address"     // network that provider people administer from
)

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Judge judges subjects anew within a transaction.
type Judge interface {
	Rejudge(tx *store.Tx, subjects ...evidence.Subject) error
}

// Incidents keeps incidents and the provider's identities. It is safe for
// concurrent use. All members are required unless marked.
type Incidents struct {
	Store  *store.Store
	Ledger Recorder
	Judge  Judge
	// Networks are addresses and prefixes that the provider's people administer
	// from, besides those registered. Optional.
	Networks []string
	Now      func() time.Time
	Log      *slog.Logger
}

var (
	accountForm     = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,31}$`)
	fingerprintForm = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)
)

// everybodys are accounts that machines have anyway: a login with one says
// nothing about who it was.
var everybodys = []string{"root", "admin", "administrator", "ubuntu", "debian", "ec2-user", "centos", "user"}

// CheckIdentity reports what is wrong with an identity, and returns it in its
// one form.
func CheckIdentity(kind, value string) (string, error) {
	switch kind {
	case Account:
		if !accountForm.MatchString(value) {
			return "", fmt.Errorf("%w: an account's name has 1 to 32 lower-case letters, digits, '_', '.' or '-'", estate.ErrInvalid)
		}
		if slices.Contains(everybodys, value) {
			return "", fmt.Errorf("%w: machines have an account %s anyway, so that a login with it does not tell who it was: register the fingerprint of the key instead", estate.ErrInvalid, value)
		}
		return value, nil
	case Fingerprint:
		if !fingerprintForm.MatchString(value) {
			return "", fmt.Errorf("%w: a fingerprint is SHA256: and 43 characters, as ssh-keygen -l prints it", estate.ErrInvalid)
		}
		return value, nil
	case Address:
		return checkNetwork(value)
	}
	return "", fmt.Errorf("%w: an identity is an %s, a %s or an %s", estate.ErrInvalid, Account, Fingerprint, Address)
}

func checkNetwork(value string) (string, error) {
	p, err := netip.ParsePrefix(value)
	if a, aerr := netip.ParseAddr(value); aerr == nil && a.Zone() == "" {
		a = a.Unmap()
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: a network is an address or a prefix such as 192.0.2.0/24", estate.ErrInvalid)
	}
	least := 8
	if p.Addr().Is6() {
		least = 16
	}
	if p.Bits() < least {
		return "", fmt.Errorf("%w: the network %s holds too much of the world to be the provider's; give a prefix of at least /%d", estate.ErrInvalid, p, least)
	}
	return p.Masked().String(), nil
}

// Register adds an identity. holder is the principal that it belongs to, and
// may be empty. Machines seen before are looked through again.
func (i *Incidents) Register(ctx context.Context, by access.Principal, kind, value, holder string) (p store.ProviderIdentity, err error) {
	if value, err = CheckIdentity(kind, value); err != nil {
		return p, err
	}
	p = store.ProviderIdentity{ID: ident.New("pi"), Kind: kind, Value: value, Holder: holder, Added: i.Now(), AddedBy: by.Actor()}
	return p, i.Store.Write(ctx, func(tx *store.Tx) error {
		if holder != "" {
			h, err := tx.Principal(holder)
			if err != nil {
				return err
			}
			if !h.OfProvider() {
				return fmt.Errorf("principal %q: %w", holder, store.ErrNotFound)
			}
		}
		if err := tx.InsertProviderIdentity(p); err != nil {
			return err
		}
		return i.changed(tx, by.Actor(), "provider-identity.add", p.ID)
	})
}

// Noticed registers the key that a certificate was issued for, within tx. It
// counts for a month after the certificate's end, and writes no ledger entry:
// the certificate has its own.
func (i *Incidents) Noticed(tx *store.Tx, by access.Principal, fingerprint string, validUntil time.Time) error {
	value, err := CheckIdentity(Fingerprint, fingerprint)
	if err != nil {
		return err
	}
	known, err := tx.StandingIdentities(i.Now())
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.Kind == Fingerprint && k.Value == value {
			return nil
		}
	}
	until := validUntil.Add(30 * 24 * time.Hour)
	return tx.InsertProviderIdentity(store.ProviderIdentity{
		ID: ident.New("pi"), Kind: Fingerprint, Value: value, Holder: by.ID, Added: i.Now(), AddedBy: by.Actor(), Until: &until,
	})
}

// Remove ends an identity.
func (i *Incidents) Remove(ctx context.Context, by access.Principal, id string) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.RemoveProviderIdentity(id, i.Now()); err != nil {
			return err
		}
		return i.changed(tx, by.Actor(), "provider-identity.remove", id)
	})
}

// changed has the provider's fact made again and all machines looked through.
func (i *Incidents) changed(tx *store.Tx, actor, action, id string) error {
	if err := tx.PutSetting(scanSetting, []byte{}); err != nil {
		return err
	}
	if err := i.Judge.Rejudge(tx, evidence.Provider); err != nil {
		return err
	}
	_, err := i.Ledger.Append(tx, ledger.Entry{Time: i.Now(), Actor: actor, Action: action, Subject: "provider-identity/" + id})
	return err
}

// Identities lists the register.
func (i *Incidents) Identities(ctx context.Context, p store.Page) (list []store.ProviderIdentity, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.ProviderIdentities(p)
		return err
	})
	return list, err
}
