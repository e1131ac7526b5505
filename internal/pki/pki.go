// Package pki is the certificate authority of an installation: it vouches for
// the server's own addresses towards agents and the command line. Agents learn
// the authority's digest from their enrolment token, so nobody else's
// certificate will do.
package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// Secrets keeps the authority's key. SetSecret keeps the first value and
// returns nil where there is one already.
type Secrets interface {
	Secret(ctx context.Context, name string) ([]byte, error)
	SetSecret(ctx context.Context, name string, value []byte) error
}

const (
	secretName = "pki.authority"
	caLife     = 20 * 365 * 24 * time.Hour
	leafLife   = 30 * 24 * time.Hour
)

// Authority issues certificates for the server's addresses. It is safe for
// concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time

	mu   sync.Mutex
	leaf *tls.Certificate // guarded by mu
}

// Open loads the authority, and makes one at the first start.
func Open(ctx context.Context, s Secrets, now func() time.Time) (*Authority, error) {
	raw, err := s.Secret(ctx, secretName)
	if err != nil {
		return nil, fmt.Errorf("load the certificate authority: %w", err)
	}
	if raw == nil {
		if raw, err = generate(now()); err != nil {
			return nil, fmt.Errorf("make the certificate authority: %w", err)
		}
		if err := s.SetSecret(ctx, secretName, raw); err != nil {
			return nil, fmt.Errorf("keep the certificate authority: %w", err)
		}
		// Another server may have been first.
		if raw, err = s.Secret(ctx, secretName); err != nil {
			return nil, fmt.Errorf("load the certificate authority: %w", err)
		}
	}
	pair, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return nil, fmt.Errorf("the stored certificate authority is damaged: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the stored certificate authority has a key of another kind")
	}
	return &Authority{cert: pair.Leaf, key: key, now: now}, nil
}

func generate(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "demarc installation authority"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	kd, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kd})...), nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	return new(big.Int).SetBytes(b)
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pin returns the SHA-256 of the authority's certificate, which enrolment
// tokens carry.
func (a *Authority) Pin() [sha256.Size]byte { return sha256.Sum256(a.cert.Raw) }

// ServerTLS returns the configuration of a TLS server for the host names and
// addresses. Its certificate is made anew when half of its life is over, so a
// server that runs for years needs no attention.
func (a *Authority) ServerTLS(hosts []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.leaf == nil || a.now().After(a.leaf.Leaf.NotAfter.Add(-leafLife/2)) {
				leaf, err := a.issue(hosts)
				if err != nil {
					return nil, err
				}
				a.leaf = leaf
			}
			return a.leaf, nil
		},
	}
}

func (a *Authority) issue(hosts []string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a server key: %w", err)
	}
	now := a.now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: hosts[0]},
		// A day back: the clocks of agents may be behind.
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("issue the server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("issue the server's certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
