package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestProfileSurvivesSaving(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "client.json")
	for _, p := range []Profile{
		{Server: "https://demarc.example", Token: "t", CA: "PEM", Tenant: "acme"},
		{Server: "https://other.example", Token: "u"},
	} {
		if err := p.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := LoadProfile(path)
		if err != nil || got != p {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(`{"server":"https://x","token":"t"}`))
	f.Add([]byte(`{"token":"a","token_file":"b"}`))
	f.Add([]byte(`{"ca":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "p")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := LoadProfile(path)
		if err == nil && p.Token != "" && p.TokenFile != "" {
			t.Error("took two tokens")
		}
	})
}
