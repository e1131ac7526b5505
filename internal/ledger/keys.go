package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/store"
)

// Actions of the ledger's own entries. Each announces the key that signs from
// the entry on, by the digest "vkey" of its verifier key.
const (
	ActionKeyBegin  = "ledger.key.begin"
	ActionKeyRotate = "ledger.key.rotate"
)

// systemActor is who acts when nobody asked.
const systemActor = "system/ledger"

// Key is a key of the ledger's history.
type Key struct {
	// VKey is the verifier key of C2SP signed-note.
	VKey string `json:"vkey"`
	// FromSize is the least size of tree that it signs. It signs up to and
	// including the FromSize of the next key, which is the checkpoint that both sign.
	FromSize int64 `json:"from_size"`
}

// Keys returns the history of the ledger's keys, oldest first.
func (l *Log) Keys(ctx context.Context) (keys []Key, err error) {
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.LedgerKeys()
		keys = history(rows)
		return err
	})
	return keys, err
}

func history(rows []store.LedgerKey) []Key {
	keys := make([]Key, len(rows))
	for i, r := range rows {
		keys[i] = Key{VKey: r.VKey, FromSize: r.FromSize}
	}
	return keys
}

// Rotate makes a new signing key in one transaction: an entry by actor tells of
// it, the old and the new key both sign the checkpoint that includes the entry,
// and the old private key is erased. Whoever trusts the old key can follow to
// the new one.
func (l *Log) Rotate(ctx context.Context, actor string) (next Key, err error) {
	err = l.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockLedger(); err != nil {
			return err
		}
		keys, err := tx.LedgerKeys()
		if err != nil {
			return err
		}
		var signers []note.Signer
		action := ActionKeyBegin
		if n := len(keys); n > 0 {
			action = ActionKeyRotate
			old, err := l.signer(keys[n-1])
			if err != nil {
				return err
			}
			if err := tx.EraseLedgerKey(keys[n-1].FromSize); err != nil {
				return err
			}
			signers = append(signers, old)
		}
		key, signer, err := l.addKey(tx, actor, action)
		if err != nil {
			return err
		}
		next = Key{VKey: key.VKey, FromSize: key.FromSize}
		_, err = l.sign(tx, append(signers, signer)...)
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("rotate the ledger's key: %w", err)
	}
	return next, nil
}

// addKey makes a key and announces it. The head must be locked.
func (l *Log) addKey(tx *store.Tx, actor, action string) (store.LedgerKey, note.Signer, error) {
	if l.keyring == nil {
		return store.LedgerKey{}, nil, errors.New("ledger: no keyring to seal a signing key with")
	}
	secret, vkey, err := note.GenerateKey(rand.Reader, l.origin)
	if err != nil {
		return store.LedgerKey{}, nil, fmt.Errorf("make a signing key: %w", err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return store.LedgerKey{}, nil, fmt.Errorf("make a signing key: %w", err)
	}
	sealed, err := l.keyring.Seal([]byte(secret), keyContext(vkey))
	if err != nil {
		return store.LedgerKey{}, nil, fmt.Errorf("seal a signing key: %w", err)
	}
	index, err := l.append(tx, []Entry{{
		Actor: actor, Action: action, Subject: fmt.Sprintf("ledger-key/%08x", signer.KeyHash()),
		Digests: map[string]string{"vkey": canonical.Digest([]byte(vkey))},
	}})
	if err != nil {
		return store.LedgerKey{}, nil, err
	}
	key := store.LedgerKey{FromSize: index + 1, VKey: vkey, Sealed: sealed}
	return key, signer, tx.InsertLedgerKey(key)
}

// signer opens a private key, once.
func (l *Log) signer(key store.LedgerKey) (note.Signer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.signers[key.VKey]; ok {
		return s, nil
	}
	if l.keyring == nil {
		return nil, errors.New("ledger: no keyring to open the signing key with")
	}
	s, err := openSigner(l.keyring, key)
	if err != nil {
		return nil, err
	}
	l.signers[key.VKey] = s
	return s, nil
}

// openSigner opens a private key and makes sure that it belongs to its row.
func openSigner(keyring Keyring, key store.LedgerKey) (note.Signer, error) {
	secret, err := keyring.Open(key.Sealed, keyContext(key.VKey))
	if err != nil {
		return nil, fmt.Errorf("open the ledger's key %s: %w", key.VKey, err)
	}
	s, err := note.NewSigner(string(secret))
	if err != nil {
		return nil, fmt.Errorf("%w: key %s: the sealed key is malformed", ErrCorrupt, key.VKey)
	}
	if !strings.HasPrefix(key.VKey, fmt.Sprintf("%s+%08x+", s.Name(), s.KeyHash())) {
		return nil, fmt.Errorf("%w: key %s: another key is sealed with it", ErrCorrupt, key.VKey)
	}
	return s, nil
}

// keyContext binds a sealed key to its use.
func keyContext(vkey string) string { return "ledger key " + vkey }
