package keyring_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/keyring"
)

func open(t *testing.T, path string) *keyring.Keyring {
	t.Helper()
	k, err := keyring.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMasterKeyIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	sealed, err := open(t, path).Seal([]byte("secret"), "here")
	if err != nil || bytes.Contains(sealed, []byte("secret")) {
		t.Fatalf("sealed %q, %v", sealed, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file has mode %v, %v", info.Mode(), err)
	}
	plain, err := open(t, path).Open(sealed, "here")
	if err != nil || string(plain) != "secret" {
		t.Errorf("opened %q, %v", plain, err)
	}
}

// TestContext: what is sealed for one place does not open in another, nor
// under another key, nor after a change.
func TestContext(t *testing.T) {
	k, other := open(t, filepath.Join(t.TempDir(), "a")), open(t, filepath.Join(t.TempDir(), "b"))
	sealed, err := k.Seal([]byte("secret"), "contact/1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(sealed, "contact/2"); err == nil {
		t.Error("it opened in another context")
	}
	if _, err := other.Open(sealed, "contact/1"); err == nil {
		t.Error("it opened under another master key")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, "contact/1"); err == nil {
			t.Fatalf("it opened with byte %d changed", i)
		}
	}
	if _, err := k.Open(nil, "contact/1"); err == nil {
		t.Error("nothing opened")
	}
}

func TestDataKeys(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "a"))
	var keys []*keyring.DataKey
	var wrapped [][]byte
	for _, tenant := range []string{"tenant/1", "tenant/2"} {
		w, err := k.NewDataKey(tenant)
		if err != nil {
			t.Fatal(err)
		}
		d, err := k.DataKey(w, tenant)
		if err != nil {
			t.Fatal(err)
		}
		keys, wrapped = append(keys, d), append(wrapped, w)
	}
	sealed, err := keys[0].Seal([]byte("Eva"), "contact/1")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := keys[0].Open(sealed, "contact/1"); err != nil || string(plain) != "Eva" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := keys[1].Open(sealed, "contact/1"); err == nil {
		t.Error("another tenant's key opened it")
	}
	if _, err := keys[0].Open(sealed, "contact/2"); err == nil {
		t.Error("it opened as another contact")
	}
	if _, err := k.DataKey(wrapped[0], "tenant/2"); err == nil {
		t.Error("a data key was taken for another tenant's")
	}
	if _, err := open(t, filepath.Join(t.TempDir(), "b")).DataKey(wrapped[0], "tenant/1"); err == nil {
		t.Error("another master key unwrapped it")
	}
}

func TestDamagedMasterKey(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "no JSON": "key", "no keys": "{}"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := keyring.Open(path)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%s: a damaged key was overwritten", name)
		}
	}
	if _, err := keyring.Open(filepath.Join(dir, "nowhere", "key")); err == nil {
		t.Error("a key without a file")
	}
}
