// Package bustest gives tests a bus: keys in memory, a certificate authority,
// and an embedded server on a free port of the loopback interface.
package bustest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/bus"
)

// Secrets keeps secrets in memory. The zero value is ready.
type Secrets struct {
	mu sync.Mutex
	m  map[string][]byte
}

// Secret implements bus.Secrets.
func (s *Secrets) Secret(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.m[name]), nil
}

// SetSecret implements bus.Secrets.
func (s *Secrets) SetSecret(_ context.Context, name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string][]byte{}
	}
	if s.m[name] == nil {
		s.m[name] = bytes.Clone(value)
	}
	return nil
}

// Authority is a certificate authority for one test.
type Authority struct {
	// PEM is its certificate, DER the same in binary, Roots a pool of it.
	PEM   []byte
	DER   []byte
	Roots *x509.CertPool
	// Certificate serves 127.0.0.1, ::1 and localhost; the chain includes the authority.
	Certificate tls.Certificate
	// CertPEM and KeyPEM are the same certificate and its key.
	CertPEM, KeyPEM []byte
}

// NewAuthority makes an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	caKey, leafKey := newKey(t), newKey(t)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{DER: caDER, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), Roots: x509.NewCertPool()}
	a.Roots.AppendCertsFromPEM(a.PEM)
	a.Certificate = tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: leafKey}
	a.CertPEM = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}), a.PEM...)
	a.KeyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ServerTLS is the authority's certificate as a server's configuration.
func (a *Authority) ServerTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.Certificate}, MinVersion: tls.VersionTLS12}
}

// ClientTLS trusts the authority only.
func (a *Authority) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: a.Roots, MinVersion: tls.VersionTLS12}
}

// Config is an embedded bus in a temporary directory.
func Config(t testing.TB, a *Authority) bus.Config {
	t.Helper()
	return bus.Config{Secrets: &Secrets{}, Log: slog.New(slog.DiscardHandler), Dir: t.TempDir(),
		Listen: "127.0.0.1:0", TLS: a.ServerTLS(), MaxBytes: 256 << 20}
}

// Open opens a bus that is closed with the test.
func Open(t testing.TB, cfg bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}
