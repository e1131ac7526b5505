package sshca

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

type kept map[string][]byte

func (k kept) Secret(_ context.Context, name string) ([]byte, error) { return k[name], nil }

func (k kept) SetSecret(_ context.Context, name string, v []byte) error {
	if k[name] == nil {
		k[name] = v
	}
	return nil
}

var now = time.Date(2026, 3, 3, 14, 0, 0, 0, time.UTC)

func opened(t *testing.T, s kept) *Authority {
	t.Helper()
	a, err := Open(t.Context(), s, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func key(t *testing.T) ssh.PublicKey {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysStay(t *testing.T) {
	s := kept{}
	a, b := opened(t, s), opened(t, s)
	keys := [][]byte{a.Holders().Marshal(), a.Targets().Marshal(), a.Gateway().PublicKey().Marshal()}
	for i, k := range [][]byte{b.Holders().Marshal(), b.Targets().Marshal(), b.Gateway().PublicKey().Marshal()} {
		if !bytes.Equal(k, keys[i]) {
			t.Errorf("key %d is another after a restart", i)
		}
		if bytes.Equal(k, keys[(i+1)%3]) {
			t.Errorf("key %d serves two purposes", i)
		}
	}
	s["ssh.targets"] = []byte("short")
	if _, err := Open(t.Context(), s, time.Now); err == nil {
		t.Error("a damaged key was taken")
	}
}

func TestHolder(t *testing.T) {
	a := opened(t, kept{})
	for _, c := range []struct {
		name  string
		until time.Time
		want  time.Time
	}{
		{"until the grant's end", now.Add(time.Hour), now.Add(time.Hour)},
		{"8 hours at most", now.Add(12 * time.Hour), now.Add(8 * time.Hour)},
	} {
		cert, err := a.IssueHolder(Holder{Grant: "g-1", Principal: "p-1", Targets: []string{"hv-1"}, Until: c.until}, key(t))
		if err != nil {
			t.Fatal(err)
		}
		_, pty := cert.Extensions["permit-pty"]
		if cert.ValidBefore != uint64(c.want.Unix()) || cert.CriticalOptions[GrantOption] != "g-1" || cert.CriticalOptions[PrincipalOption] != "p-1" ||
			len(cert.Extensions) != 1 || !pty || !strings.HasPrefix(cert.KeyId, "g-1/") || cert.CertType != ssh.UserCert {
			t.Errorf("%s: %+v", c.name, cert)
		}
		// A plain server knows none of the critical options, and so refuses it.
		checker := ssh.CertChecker{Clock: func() time.Time { return now }}
		if err := checker.CheckCert("hv-1", cert); err == nil {
			t.Errorf("%s: a plain server takes it", c.name)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ssh.NewPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		h Holder
		k ssh.PublicKey
	}{
		"of a grant that ended": {Holder{Grant: "g-1", Targets: []string{"hv-1"}, Until: now}, key(t)},
		"for every name":        {Holder{Grant: "g-1", Until: now.Add(time.Hour)}, key(t)},
		"of a weak key":         {Holder{Grant: "g-1", Targets: []string{"hv-1"}, Until: now.Add(time.Hour)}, weak},
	} {
		if cert, err := a.IssueHolder(c.h, c.k); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %+v %v", name, cert, err)
		}
	}
}

func TestTarget(t *testing.T) {
	a := opened(t, kept{})
	one, err := a.SignerFor("root", "demarc/g-1/rec-1", false)
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.SignerFor("root", "demarc/g-1/rec-2", true)
	if err != nil {
		t.Fatal(err)
	}
	c, d := one.PublicKey().(*ssh.Certificate), two.PublicKey().(*ssh.Certificate)
	if c.ValidBefore != uint64(now.Add(2*time.Minute).Unix()) || len(c.ValidPrincipals) != 1 || c.ValidPrincipals[0] != "root" || c.KeyId != "demarc/g-1/rec-1" {
		t.Errorf("%+v", c)
	}
	if _, ok := c.Extensions["permit-port-forwarding"]; ok || bytes.Equal(c.Key.Marshal(), d.Key.Marshal()) {
		t.Error("forwarding is allowed unasked, or a key serves two connections")
	}
	if _, ok := d.Extensions["permit-port-forwarding"]; !ok {
		t.Error("forwarding is not allowed where it was granted")
	}
}
