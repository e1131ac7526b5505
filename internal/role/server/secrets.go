package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/store"
)

// secrets keeps secrets of the installation in the state store, sealed under
// the master key, so that all servers on one store share them.
type secrets struct {
	store *store.Store
	keys  *keyring.Keyring
}

// Secret returns the secret of that name, nil if there is none.
func (s secrets) Secret(ctx context.Context, name string) ([]byte, error) {
	var sealed []byte
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		sealed, err = tx.Setting("secret." + name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.keys.Open(sealed, "secret/"+name)
}

// SetSecret keeps value, unless there is one already.
func (s secrets) SetSecret(ctx context.Context, name string, value []byte) error {
	sealed, err := s.keys.Seal(value, "secret/"+name)
	if err != nil {
		return fmt.Errorf("seal secret %s: %w", name, err)
	}
	err = s.store.Write(ctx, func(tx *store.Tx) error { return tx.AddSetting("secret."+name, sealed) })
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// instance returns the installation's id, made at the first start. The
// ledger's origin and the identifiers of exported documents are made of it.
func (s secrets) instance(ctx context.Context) (string, error) {
	read := func() (id []byte, err error) {
		err = s.store.Read(ctx, func(tx *store.Tx) (err error) {
			id, err = tx.Setting("instance")
			return err
		})
		return id, err
	}
	id, err := read()
	if !errors.Is(err, store.ErrNotFound) {
		return string(id), err
	}
	b := make([]byte, 8)
	rand.Read(b)
	err = s.store.Write(ctx, func(tx *store.Tx) error { return tx.AddSetting("instance", []byte(hex.EncodeToString(b))) })
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return "", err
	}
	id, err = read()
	return string(id), err
}
