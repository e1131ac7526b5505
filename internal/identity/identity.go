// Package identity says who acts: people, who are invited and sign in, and
// services with a token. Secrets are shown once, when they are made; only
// digests of them are kept, or they are sealed where they must be read again.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// ErrUnauthenticated: no valid token or session. It never says why.
var ErrUnauthenticated = errors.New("not signed in")

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Site is where people reach the console.
type Site struct {
	// URL is the console's address in links, without a slash at its end.
	URL string
	// RPID is the name that passkeys are bound to (WebAuthn relying party id),
	// Origins are the addresses of pages that may use them.
	RPID    string
	Origins []string
}

// Identities checks and issues credentials. It is safe for concurrent use once
// its members are set. Store, Ledger and Now are required; Keys and Site are
// for people.
type Identities struct {
	Store  *store.Store
	Ledger Recorder
	Now    func() time.Time
	Keys   *keyring.Keyring
	Site   Site
	// Settled, if set, is called once the provider has an administrator with a
	// second factor; it may be called more than once.
	Settled func()
	// Cost of hashing passwords; zero is DefaultCost.
	Cost Cost
	// Left is told who no longer acts as before. Optional.
	Left Leave
	// HTTP reaches identity providers; nil is a client with a timeout.
	HTTP *http.Client

	pepper  pepper
	hashing hashing
	guesses guesses
}

// tokenPrefix makes tokens recognizable to secret scanners.
const tokenPrefix = "dmt_"

// hash is a plain digest: tokens carry 256 random bits, so that guessing them
// needs no slowing down. Passwords, which people choose, would.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func secret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Issue makes a principal with a token. expires may be nil.
func (i *Identities) Issue(ctx context.Context, by access.Principal, p access.Principal, expires *time.Time) (c store.Credential, token string, err error) {
	if err := check(p); err != nil {
		return c, "", err
	}
	c, token = i.credential(p, expires)
	return c, token, i.insert(ctx, by, c)
}

// credential makes a token for p and what is kept of it.
func (i *Identities) credential(p access.Principal, expires *time.Time) (store.Credential, string) {
	s := secret()
	p.ID = ident.New("p")
	if p.Kind == "" {
		p.Kind = access.Service
	}
	c := store.Credential{Principal: p, SecretHash: hash(s), CreatedAt: i.Now(), Expires: expires}
	return c, tokenPrefix + strings.TrimPrefix(p.ID, "p-") + "_" + s
}

func (i *Identities) insert(ctx context.Context, by access.Principal, c store.Credential) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.InsertPrincipal(c); err != nil {
			return err
		}
		return i.record(tx, by, "principal.create", c)
	})
}

func check(p access.Principal) error {
	if strings.TrimSpace(p.Name) == "" || len(p.Name) > 100 || strings.ContainsFunc(p.Name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%w: a principal's name has 1 to 100 characters and no control characters", estate.ErrInvalid)
	}
	for _, r := range access.Roles {
		if r != p.Role {
			continue
		}
		if p.OfProvider() == (p.Tenant != "") {
			return fmt.Errorf("%w: role %s goes with %s", estate.ErrInvalid, p.Role, map[bool]string{true: "no tenant", false: "a tenant"}[p.OfProvider()])
		}
		return nil
	}
	return fmt.Errorf("%w: role %q is none of %v", estate.ErrInvalid, p.Role, access.Roles)
}

func (i *Identities) record(tx *store.Tx, by access.Principal, action string, c store.Credential) error {
	_, err := i.Ledger.Append(tx, ledger.Entry{
		Time: i.Now(), Tenant: c.Tenant, Actor: by.Actor(), Action: action, Subject: "principal/" + c.ID,
	})
	return err
}

// FirstStart makes the first administrator if there is no principal yet, and
// returns its token; "" if there are principals already. keep is given the
// token before it counts, so that no crash can leave an administrator whose
// token nobody has.
func (i *Identities) FirstStart(ctx context.Context, keep func(token string) error) (string, error) {
	var n int
	err := i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		n, err = tx.CountPrincipals()
		return err
	})
	if err != nil || n > 0 {
		return "", err
	}
	c, token := i.credential(access.Principal{Name: "Local administrator", Role: access.ProviderAdministrator, Kind: access.Setup}, nil)
	if err := keep(token); err != nil {
		return "", err
	}
	return token, i.insert(ctx, access.Principal{ID: "first-start", Role: "system"}, c)
}

// Authenticate returns who holds the token.
func (i *Identities) Authenticate(ctx context.Context, token string) (access.Principal, error) {
	if strings.HasPrefix(token, personalPrefix) {
		return i.personal(ctx, token)
	}
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	id, s, ok2 := strings.Cut(rest, "_")
	if !ok || !ok2 || len(token) > 200 {
		return access.Principal{}, ErrUnauthenticated
	}
	var c store.Credential
	err := i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		c, err = tx.Principal("p-" + id)
		return err
	})
	// The comparison runs for unknown principals too, so that time tells nothing.
	match := subtle.ConstantTimeCompare([]byte(hash(s)), []byte(c.SecretHash)) == 1
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return access.Principal{}, err
	}
	if err != nil || !match || !i.stands(c) {
		return access.Principal{}, ErrUnauthenticated
	}
	return c.Principal, nil
}

func (i *Identities) stands(c store.Credential) bool {
	return c.Stands(i.Now())
}

// List returns the principals of a tenant; the provider's if tenant is empty.
func (i *Identities) List(ctx context.Context, tenant string, p store.Page) (out []store.Credential, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.Principals(tenant, p)
		return err
	})
	return out, err
}

// Get returns one principal.
func (i *Identities) Get(ctx context.Context, id string) (c store.Credential, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		c, err = tx.Principal(id)
		return err
	})
	return c, err
}

// Stands reports whether the principal is neither revoked nor expired.
func (i *Identities) Stands(ctx context.Context, id string) (bool, error) {
	c, err := i.Get(ctx, id)
	return err == nil && i.stands(c), err
}

// Revoke ends a service, its token and its sessions at once.
func (i *Identities) Revoke(ctx context.Context, by access.Principal, id string) (c store.Credential, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		now := i.Now()
		if _, err := tx.Person(id); err == nil {
			return fmt.Errorf("this is a person who signs in; remove the person: %w", store.ErrConflict)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := tx.RevokePrincipal(id, now); err != nil {
			return err
		}
		if c, err = tx.Principal(id); err != nil {
			return err
		}
		if err := i.left(tx, by, id); err != nil {
			return err
		}
		return i.record(tx, by, "principal.revoke", c)
	})
	return c, err
}
