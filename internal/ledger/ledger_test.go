package ledger

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// open returns the ledger of s.
func open(t testing.TB, s *store.Store) *Log {
	t.Helper()
	l, err := New(Config{Store: s, Origin: "demarc/test", Keyring: testKeyring(t)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// gcmKeyring is a Keyring of one key.
type gcmKeyring struct{ cipher.AEAD }

func testKeyring(t testing.TB) Keyring {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcmKeyring{aead}
}

func (k gcmKeyring) Seal(secret []byte, context string) ([]byte, error) {
	return k.AEAD.Seal(nil, nil, secret, []byte(context)), nil
}

func (k gcmKeyring) Open(sealed []byte, context string) ([]byte, error) {
	return k.AEAD.Open(nil, nil, sealed, []byte(context))
}

// some returns n entries of three tenants and of the provider.
func some(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{
			Time:    time.Date(2026, 3, 3, 10, 0, 0, 1000*(i%1_000_000), time.UTC),
			Tenant:  []string{"", "t-1", "t-2", "t-3"}[i%4],
			Actor:   "provider-administrator/p-7",
			Action:  "subscription.create",
			Subject: fmt.Sprintf("vm/v-%d", i%997),
			Digests: map[string]string{"document": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		}
	}
	return entries
}

// add appends entries in a transaction of their own.
func add(t rapid.TB, l *Log, entries ...Entry) (first int64) {
	t.Helper()
	err := l.store.Write(context.Background(), func(tx *store.Tx) (err error) {
		first, err = l.Append(tx, entries...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// Whatever the batches, the tree is RFC 6962's, and every proof between any two
// sizes verifies with an implementation that is not ours.
func TestAppendedEntriesAreProvable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		var leaves []tlog.Hash // of all runs: the ledger outlives them
		rapid.Check(t, func(t *rapid.T) {
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, 700), 1, 4).Draw(t, "batches") {
				before := int64(len(leaves))
				if first := add(t, l, some(n)...); first != before {
					t.Fatalf("first index is %d, want %d", first, before)
				}
				leaves = append(leaves, storedLeaves(t, s, before, before+int64(n))...)
			}
			size := int64(len(leaves))
			if size == 0 {
				return
			}
			at := rapid.Int64Range(1, size).Draw(t, "size")
			old := rapid.Int64Range(1, at).Draw(t, "old size")
			index := rapid.Int64Range(0, at-1).Draw(t, "index")
			ctx := context.Background()
			root, oldRoot := mustRoot(t, l, at), mustRoot(t, l, old)
			inclusion, err := l.Inclusion(ctx, index, at)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(inclusion, at, root, index, leaves[index]); err != nil {
				t.Errorf("inclusion of %d in %d: %v", index, at, err)
			}
			consistency, err := l.Consistency(ctx, old, at)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(consistency, at, root, old, oldRoot); err != nil {
				t.Errorf("consistency from %d to %d: %v", old, at, err)
			}
		})
	})
}

func storedLeaves(t rapid.TB, s *store.Store, from, to int64) (leaves []tlog.Hash) {
	t.Helper()
	err := s.Read(context.Background(), func(tx *store.Tx) error {
		joined, err := tx.LedgerLeaves(from, to)
		for i := 0; i+tlog.HashSize <= len(joined); i += tlog.HashSize {
			leaves = append(leaves, tlog.Hash(joined[i:]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(leaves)) != to-from {
		t.Fatalf("%d leaves between %d and %d", len(leaves), from, to)
	}
	return leaves
}

func mustRoot(t rapid.TB, l *Log, size int64) tlog.Hash {
	t.Helper()
	root, err := l.Root(context.Background(), size)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
