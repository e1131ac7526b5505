package wire

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
)

func TestTokenComesBack(t *testing.T) {
	want := Token{ID: "k7", Secret: "s-e_cret", CA: sha256.Sum256([]byte("ca"))}
	got, err := ParseToken(want.String() + "\n")
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzParseToken(f *testing.F) {
	good := Token{ID: "id", Secret: "hushhush", CA: sha256.Sum256([]byte("ca"))}.String()
	for _, s := range []string{good, "", "demarc1...", "demarc2" + good[7:], good + ".x", good[:len(good)-1], strings.Replace(good, "id", "i d", 1), strings.Replace(good, "id", strings.Repeat("i", 200), 1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseToken(s)
		if err != nil {
			if !errors.Is(err, ErrToken) || strings.Contains(err.Error(), "hushhush") {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, err := ParseToken(got.String()); err != nil || again != got {
			t.Fatalf("%q does not come back: %v", s, err)
		}
	})
}
