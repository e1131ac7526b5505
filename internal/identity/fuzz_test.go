package identity_test

import (
	"errors"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
)

// FuzzPasskeyAnswers: whatever a browser answers, it is refused and nothing
// breaks; nobody is signed in by chance.
func FuzzPasskeyAnswers(f *testing.F) {
	ids, _, _ := setUp(f)
	d, _ := withPasskey(f, ids, access.ProviderAdministrator, "", "Ada")
	inv := invited(f, ids, access.ProviderOperator, "", "Oto")
	reg, err := ids.BeginJoinWithPasskey(f.Context(), inv)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.get(f, begin(f, ids)))
	f.Add(newDevice(virtualwebauthn.KeyTypeEC2).create(f, reg))
	for _, s := range []string{"", "{}", "null", `{"id":"","rawId":"","type":"public-key","response":{}}`, `{"response":{"authenticatorData":"AAAA","clientDataJSON":"e30"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		c := begin(t, ids)
		if e, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, answer); !errors.Is(err, identity.ErrSignIn) || e.Secret != "" {
			t.Errorf("%+v, %v", e, err)
		}
		r, err := ids.BeginJoinWithPasskey(t.Context(), inv)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := ids.JoinWithPasskey(t.Context(), here, inv, r.Ceremony, answer, ""); !errors.Is(err, identity.ErrSignIn) || e.Secret != "" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}
