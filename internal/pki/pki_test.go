package pki_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/pki"
)

// secrets keep the first value, as the state store does.
type secrets struct {
	kept map[string][]byte
	// rival is what another server writes just before this one.
	rival []byte
	fail  error
}

func (s *secrets) Secret(_ context.Context, name string) ([]byte, error) {
	return s.kept[name], s.fail
}

func (s *secrets) SetSecret(_ context.Context, name string, v []byte) error {
	if s.kept == nil {
		s.kept = map[string][]byte{}
	}
	if s.rival != nil {
		v = s.rival
	}
	if s.kept[name] == nil {
		s.kept[name] = v
	}
	return nil
}

var start = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

func openAt(t *testing.T, s *secrets, now *time.Time) *pki.Authority {
	t.Helper()
	a, err := pki.Open(t.Context(), s, func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// handshake connects a client that trusts roots and expects host.
func handshake(server *tls.Config, roots *x509.CertPool, host string, now time.Time) (*x509.Certificate, error) {
	c, s := net.Pipe()
	defer c.Close()
	go func() {
		conn := tls.Server(s, server)
		io.Copy(io.Discard, conn)
		conn.Close()
	}()
	client := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: host, Time: func() time.Time { return now }})
	if err := client.Handshake(); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates[0], nil
}

func TestServerCertificate(t *testing.T) {
	now := start
	a := openAt(t, &secrets{}, &now)
	block, rest := pem.Decode(a.PEM())
	if block == nil || len(rest) > 0 {
		t.Fatal("no single PEM certificate")
	}
	if a.Pin() != sha256.Sum256(block.Bytes) {
		t.Error("the pin is not of the certificate")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	server := a.ServerTLS([]string{"demarc.example", "127.0.0.1", "::1"})
	var first *x509.Certificate
	for _, host := range []string{"demarc.example", "127.0.0.1", "::1"} {
		leaf, err := handshake(server, roots, host, now)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if leaf.IsCA {
			t.Error("the server's certificate can sign others")
		}
		first = leaf
	}
	if _, err := handshake(server, roots, "other.example", now); err == nil {
		t.Error("it passes for another host")
	}
	stranger := openAt(t, &secrets{}, &now)
	foreign := x509.NewCertPool()
	foreign.AppendCertsFromPEM(stranger.PEM())
	if _, err := handshake(server, foreign, "demarc.example", now); err == nil {
		t.Error("another authority vouches for it")
	}
	// An agent's clock may be behind, and the server may run for years.
	if _, err := handshake(server, roots, "demarc.example", now.Add(-20*time.Hour)); err != nil {
		t.Errorf("a clock 20 hours behind: %v", err)
	}
	for range 40 {
		now = now.Add(20 * 24 * time.Hour)
		leaf, err := handshake(server, roots, "demarc.example", now)
		if err != nil {
			t.Fatalf("after %s: %v", now.Sub(start), err)
		}
		if now.After(first.NotAfter) && leaf.Equal(first) {
			t.Fatal("the certificate was not made anew")
		}
	}
}

func TestAuthorityIsKept(t *testing.T) {
	now := start
	s := &secrets{}
	if a, b := openAt(t, s, &now), openAt(t, s, &now); !bytes.Equal(a.PEM(), b.PEM()) {
		t.Error("a restart made another authority")
	}
	if len(s.kept) != 1 {
		t.Errorf("%d secrets", len(s.kept))
	}
	// Two servers at the first start: both take the one that was kept.
	var rival []byte
	for _, v := range s.kept {
		rival = v
	}
	if c := openAt(t, &secrets{rival: rival}, &now); !bytes.Equal(c.PEM(), openAt(t, s, &now).PEM()) {
		t.Error("the second server keeps an authority of its own")
	}
}

func TestDamagedAuthority(t *testing.T) {
	now := start
	s := &secrets{}
	openAt(t, s, &now)
	for name, v := range s.kept {
		s.kept[name] = v[:len(v)/2]
	}
	if _, err := pki.Open(t.Context(), s, time.Now); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	gone := errors.New("gone")
	if _, err := pki.Open(t.Context(), &secrets{fail: gone}, time.Now); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}
