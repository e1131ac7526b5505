// Package keyring seals what must not be readable in the state store: a master
// key in a file of the server wraps one data key per tenant, and the data key
// encrypts the tenant's personal data. Destroying a data key makes everything
// under it unreadable. Keys are Tink keysets (AES-256-GCM).
package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/demarc/demarc/internal/durable"
)

// Keyring holds the master key. It is safe for concurrent use.
type Keyring struct{ master tink.AEAD }

// Open reads the master key from the file at path, and makes one if there is
// none. The file is readable by its owner only; whoever has it and the state
// store can read everything, so the two belong in different backups.
func Open(path string) (*Keyring, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if raw, err = generate(path); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("read the master key: %w", err)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, fmt.Errorf("the master key in %s is damaged: restore it from its backup: %w", path, err)
	}
	master, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("the master key in %s cannot be used: %w", path, err)
	}
	return &Keyring{master: master}, nil
}

func generate(path string) ([]byte, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make a master key: %w", err)
	}
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&buf)); err != nil {
		return nil, fmt.Errorf("make a master key: %w", err)
	}
	return buf.Bytes(), durable.WriteFile(path, buf.Bytes(), 0o600)
}

// Seal encrypts plaintext under the master key, bound to context: it opens
// with the same context only.
func (k *Keyring) Seal(plaintext []byte, context string) ([]byte, error) {
	return k.master.Encrypt(plaintext, []byte(context))
}

// Open decrypts what Seal made.
func (k *Keyring) Open(sealed []byte, context string) ([]byte, error) {
	plain, err := k.master.Decrypt(sealed, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("open sealed %s: wrong master key, or damaged: %w", context, err)
	}
	return plain, nil
}

// NewDataKey makes a data key and returns it wrapped by the master key.
func (k *Keyring) NewDataKey(context string) (wrapped []byte, err error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make a data key: %w", err)
	}
	var buf bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewBinaryWriter(&buf), k.master, []byte(context)); err != nil {
		return nil, fmt.Errorf("wrap a data key: %w", err)
	}
	return buf.Bytes(), nil
}

// DataKey unwraps a data key.
func (k *Keyring) DataKey(wrapped []byte, context string) (*DataKey, error) {
	h, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(wrapped)), k.master, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("unwrap the data key of %s: wrong master key, or damaged: %w", context, err)
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("use the data key of %s: %w", context, err)
	}
	return &DataKey{aead: a}, nil
}

// DataKey encrypts one tenant's data.
type DataKey struct{ aead tink.AEAD }

// Seal encrypts plaintext, bound to context.
func (d *DataKey) Seal(plaintext []byte, context string) ([]byte, error) {
	return d.aead.Encrypt(plaintext, []byte(context))
}

// Open decrypts what Seal made.
func (d *DataKey) Open(sealed []byte, context string) ([]byte, error) {
	plain, err := d.aead.Decrypt(sealed, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("open sealed %s: wrong key, or damaged: %w", context, err)
	}
	return plain, nil
}
