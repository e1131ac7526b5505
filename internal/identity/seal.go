package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/store"
)

// personal is what is sealed of a person or an invitation, under the key of
// the person's side.
type personal struct {
	Name string `json:"name"`
	Mail string `json:"mail,omitempty"`
}

const providerKey = "provider.key"

// sideKey returns the data key of the tenant, or of the provider if it is
// empty. The provider's is made when something is first sealed with it.
func (i *Identities) sideKey(tx *store.Tx, tenant string, sealing bool) (*keyring.DataKey, error) {
	if tenant != "" {
		wrapped, err := tx.TenantKey(tenant)
		if err != nil {
			return nil, err
		}
		if wrapped == nil {
			return nil, fmt.Errorf("tenant %s has no key: %w", tenant, store.ErrNotFound)
		}
		return i.Keys.DataKey(wrapped, "tenant/"+tenant)
	}
	wrapped, err := tx.Setting(providerKey)
	if errors.Is(err, store.ErrNotFound) && sealing {
		if wrapped, err = i.Keys.NewDataKey("provider"); err != nil {
			return nil, err
		}
		err = tx.AddSetting(providerKey, wrapped)
	}
	if err != nil {
		return nil, err
	}
	return i.Keys.DataKey(wrapped, "provider")
}

func (i *Identities) sealPersonal(tx *store.Tx, tenant, what string, p personal) ([]byte, error) {
	k, err := i.sideKey(tx, tenant, true)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return k.Seal(plain, what)
}

// openPersonal reads what sealPersonal sealed; nothing where it was forgotten.
func (i *Identities) openPersonal(tx *store.Tx, tenant, what string, sealed []byte) (p personal, err error) {
	if len(sealed) == 0 {
		return p, nil
	}
	k, err := i.sideKey(tx, tenant, false)
	if err != nil {
		return p, err
	}
	plain, err := k.Open(sealed, what)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(plain, &p); err != nil {
		return p, fmt.Errorf("%s is damaged: %w", what, err)
	}
	return p, nil
}

// seal and unseal keep credentials under the master key.
func (i *Identities) seal(what string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", what, err)
	}
	return i.Keys.Seal(plain, what)
}

func (i *Identities) unseal(what string, sealed []byte, v any) error {
	plain, err := i.Keys.Open(sealed, what)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", what, err)
	}
	return nil
}

// pepper is the installation's key for digests that must mean nothing to who
// has only the database. It is read once.
type pepper struct {
	mu  sync.Mutex
	key []byte // guarded by mu
}

const pepperSetting = "secret.identity"

// mac is a digest of the parts that only this installation can make.
func (i *Identities) mac(ctx context.Context, parts ...string) (string, error) {
	key, err := i.pepperKey(ctx)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

func (i *Identities) pepperKey(ctx context.Context) ([]byte, error) {
	i.pepper.mu.Lock()
	defer i.pepper.mu.Unlock()
	if i.pepper.key != nil {
		return i.pepper.key, nil
	}
	var sealed []byte
	read := func(tx *store.Tx) (err error) {
		sealed, err = tx.Setting(pepperSetting)
		return err
	}
	err := i.Store.Read(ctx, read)
	if errors.Is(err, store.ErrNotFound) {
		fresh := make([]byte, 32)
		rand.Read(fresh)
		err = i.Store.Write(ctx, func(tx *store.Tx) error {
			err := read(tx)
			if !errors.Is(err, store.ErrNotFound) {
				return err // another server was faster
			}
			s, err := i.Keys.Seal(fresh, "secret/identity")
			if err != nil {
				return err
			}
			sealed = s
			return tx.AddSetting(pepperSetting, s)
		})
		if errors.Is(err, store.ErrConflict) { // another server, at the same time
			err = i.Store.Read(ctx, read)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of sign-in: %w", err)
	}
	key, err := i.Keys.Open(sealed, "secret/identity")
	if err == nil {
		i.pepper.key = key
	}
	return key, err
}
