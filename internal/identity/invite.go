package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// InvitationLength is how long an invitation counts.
const InvitationLength = 7 * 24 * time.Hour

// ErrInvitation: no invitation that stands has this secret. It never says why.
var ErrInvitation = errors.New("this invitation does not count: it was used, has expired, was revoked, or its link is not whole; ask for a new one")

// Invitation asks somebody to become a person of a side.
type Invitation struct {
	ID, Name, Mail string
	Role           access.Role
	Tenant         string
	// FirstOwner makes it count only while the tenant has no owner.
	FirstOwner bool
	By         string
	CreatedAt  time.Time
	Expires    time.Time
	Used       *time.Time
	Revoked    *time.Time
}

const invitationPrefix = "dmi_"

// Invite makes an invitation and its secret, which is shown once. Whether by
// may invite for that role is the caller's to check.
func (i *Identities) Invite(ctx context.Context, by access.Principal, v Invitation) (Invitation, string, error) {
	v.Name, v.Mail = strings.TrimSpace(v.Name), strings.TrimSpace(v.Mail)
	if err := checkPersonal(personal{v.Name, v.Mail}); err != nil {
		return v, "", err
	}
	if !v.Role.Known() || (v.Role.Side() == access.ProviderSide) != (v.Tenant == "") {
		return v, "", fmt.Errorf("%w: a role of the provider's goes with no tenant, one of the customer's with a tenant", estate.ErrInvalid)
	}
	value := invitationPrefix + secret()
	v.ID, v.By, v.CreatedAt = ident.New("i"), by.Actor(), i.Now()
	v.Expires, v.Used, v.Revoked = v.CreatedAt.Add(InvitationLength), nil, nil
	err := i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := firstOwner(tx, v.FirstOwner, v.Tenant); err != nil {
			return err
		}
		sealed, err := i.sealPersonal(tx, v.Tenant, "invitation/"+v.ID, personal{v.Name, v.Mail})
		if err != nil {
			return err
		}
		err = tx.InsertInvitation(store.SealedInvitation{
			ID: v.ID, Tenant: v.Tenant, Role: v.Role, FirstOwner: v.FirstOwner, SecretHash: hash(value), Sealed: sealed, By: v.By, CreatedAt: v.CreatedAt, Expires: v.Expires,
		})
		if err != nil {
			return err
		}
		return i.recordInvitation(tx, by.Actor(), v.Tenant, "invitation.create", v.ID)
	})
	return v, value, err
}

// firstOwner refuses where there is an owner already.
func firstOwner(tx *store.Tx, first bool, tenant string) error {
	if !first {
		return nil
	}
	if err := tx.LockPeople(tenant); err != nil {
		return err
	}
	owners, err := tx.PeopleWithRole(tenant, access.CustomerOwner)
	if err == nil && len(owners) > 0 {
		return fmt.Errorf("this tenant has an owner, who invites its people: %w", store.ErrConflict)
	}
	return err
}

func (i *Identities) recordInvitation(tx *store.Tx, actor, tenant, action, id string) error {
	_, err := i.Ledger.Append(tx, ledger.Entry{Time: i.Now(), Tenant: tenant, Actor: actor, Action: action, Subject: "invitation/" + id})
	return err
}

// Link is the address at which an invitation is accepted. The secret is in the
// fragment, which browsers send to nobody.
func (i *Identities) Link(secret string) string { return i.Site.URL + "/join#" + secret }

// Invitations lists the invitations to a tenant, past ones too; to the
// provider's side if tenant is empty.
func (i *Identities) Invitations(ctx context.Context, tenant string, page store.Page) (out []Invitation, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.Invitations(tenant, page)
		if err != nil {
			return err
		}
		out = make([]Invitation, len(all))
		for n, s := range all {
			if out[n], err = i.invitation(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (i *Identities) invitation(tx *store.Tx, s store.SealedInvitation) (Invitation, error) {
	open, err := i.openPersonal(tx, s.Tenant, "invitation/"+s.ID, s.Sealed)
	return Invitation{
		ID: s.ID, Name: open.Name, Mail: open.Mail, Role: s.Role, Tenant: s.Tenant, FirstOwner: s.FirstOwner, By: s.By,
		CreatedAt: s.CreatedAt, Expires: s.Expires, Used: s.Used, Revoked: s.Revoked,
	}, err
}

// Invitation returns one invitation.
func (i *Identities) Invitation(ctx context.Context, id string) (v Invitation, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		s, err := tx.Invitation(id)
		if err != nil {
			return err
		}
		v, err = i.invitation(tx, s)
		return err
	})
	return v, err
}

// RevokeInvitation ends an invitation that was not used.
func (i *Identities) RevokeInvitation(ctx context.Context, by access.Principal, id string) (v Invitation, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.RevokeInvitation(id, i.Now()); err != nil {
			return err
		}
		s, err := tx.Invitation(id)
		if err != nil {
			return err
		}
		if v, err = i.invitation(tx, s); err != nil {
			return err
		}
		return i.recordInvitation(tx, by.Actor(), s.Tenant, "invitation.revoke", id)
	})
	return v, err
}

// Invited returns the invitation of that secret, if it stands.
func (i *Identities) Invited(ctx context.Context, secret string) (v Invitation, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		s, err := i.standing(tx, secret)
		if err != nil {
			return err
		}
		v, err = i.invitation(tx, s)
		return err
	})
	return v, err
}

func (i *Identities) standing(tx *store.Tx, secret string) (store.SealedInvitation, error) {
	if !strings.HasPrefix(secret, invitationPrefix) || len(secret) > 100 {
		return store.SealedInvitation{}, ErrInvitation
	}
	s, err := tx.InvitationBySecret(hash(secret))
	if errors.Is(err, store.ErrNotFound) || (err == nil && (s.Used != nil || s.Revoked != nil || !i.Now().Before(s.Expires))) {
		return s, ErrInvitation
	}
	if err != nil {
		return s, err
	}
	late, err := outdated(tx, s)
	if err == nil && late {
		err = ErrInvitation
	}
	return s, err
}

// outdated reports whether the first start's credential, which shows no second
// factor, invited somebody to the provider's side, and there is an administrator
// by now, whose matter that is.
func outdated(tx *store.Tx, s store.SealedInvitation) (bool, error) {
	if s.Tenant != "" {
		return false, nil
	}
	_, maker, _ := strings.Cut(s.By, "/")
	c, err := tx.Principal(maker)
	if errors.Is(err, store.ErrNotFound) || (err == nil && c.Kind != access.Setup) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return settled(tx)
}

// newcomer is who a person will be: made before the invitation is used, for a
// passkey needs the handle first.
type newcomer struct{ ID, Handle string }

func newNewcomer() newcomer { return newcomer{ident.New("p"), secret()} }

// join uses the invitation and makes the person of it. Of many who use one
// invitation at once, one succeeds.
func (i *Identities) join(tx *store.Tx, secret string, n newcomer) (access.Principal, personal, error) {
	s, err := i.standing(tx, secret)
	if err != nil {
		return access.Principal{}, personal{}, err
	}
	if err := firstOwner(tx, s.FirstOwner, s.Tenant); err != nil {
		return access.Principal{}, personal{}, err
	}
	open, err := i.openPersonal(tx, s.Tenant, "invitation/"+s.ID, s.Sealed)
	if err != nil {
		return access.Principal{}, personal{}, err
	}
	now := i.Now()
	if err := tx.UseInvitation(s.ID, n.ID, now); errors.Is(err, store.ErrConflict) {
		return access.Principal{}, personal{}, ErrInvitation
	} else if err != nil {
		return access.Principal{}, personal{}, err
	}
	p := access.Principal{ID: n.ID, Role: s.Role, Tenant: s.Tenant, Kind: access.Person}
	sealed, err := i.sealPersonal(tx, s.Tenant, "person/"+n.ID, open)
	if err != nil {
		return p, open, err
	}
	err = tx.InsertPerson(store.SealedPerson{Credential: store.Credential{Principal: p, CreatedAt: now}, Handle: n.Handle, Sealed: sealed})
	if err != nil {
		return p, open, err
	}
	return p, open, i.recordInvitation(tx, p.Actor(), s.Tenant, "invitation.accept", s.ID)
}
