package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReachOfManagement puts a server into a network namespace with addresses
// of its own, and knocks from networks that may and may not.
//
//demarc:duty CLD.6.3.1/P-1.2c
//demarc:duty CLD.13.1.4/P-7.2b
func TestReachOfManagement(t *testing.T) {
	t.Parallel()
	inNamespace(t, "TestReachOfManagementChild", "ip")
}

func TestReachOfManagementChild(t *testing.T) {
	if os.Getenv(namespaceVariable) == "" {
		t.Skip("is run by TestReachOfManagement")
	}
	for _, args := range []string{"link set lo up", "addr add 192.0.2.1/32 dev lo", "addr add 192.0.2.7/32 dev lo", "addr add 198.51.100.1/32 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("the network cannot be set up: %v %s", err, out)
		}
	}
	authority, certificate := clientCertificate(t, "client authority")
	_, stranger := clientCertificate(t, "another authority")
	ca := filepath.Join(t.TempDir(), "client-ca.pem")
	if err := os.WriteFile(ca, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	const https, agents = "192.0.2.1:7443", "192.0.2.1:7444"
	s := newServer(t, "--https", https, "--agents", agents, "--advertise", "192.0.2.1", "--allow", "192.0.2.0/24", "--allow-provider", "192.0.2.7",
		"--client-ca", ca, "--console-url", "https://demarc.example")
	k := knocker{t: t, data: s.data, token: s.client.Token}
	for _, c := range []struct {
		what string
		k    knock
		want int // 0: no connection
	}{
		{"from another network", knock{from: "198.51.100.1", to: https, certificate: certificate}, 0},
		{"without a certificate", knock{from: "192.0.2.7", to: https}, 403},
		{"with another authority's", knock{from: "192.0.2.7", to: https, certificate: stranger}, 0},
		{"from the customers' network", knock{from: "192.0.2.1", to: https, certificate: certificate}, 403},
		{"from the provider's network", knock{from: "192.0.2.7", to: https, certificate: certificate}, 200},
		{"by the console's name", knock{from: "192.0.2.7", to: https, certificate: certificate, host: "demarc.example"}, 200},
		{"by a foreign name", knock{from: "192.0.2.7", to: https, certificate: certificate, host: "evil.example"}, 421},
		{"management where agents are served", knock{from: "198.51.100.1", to: agents}, 404},
		{"an agent where agents are served", knock{from: "198.51.100.1", to: agents, path: "/v1/enrol", method: "POST"}, 401},
		{"an agent where management is", knock{from: "192.0.2.1", to: https, path: "/v1/enrol", method: "POST"}, 401},
	} {
		status, body, header := k.knock(c.k)
		if status != c.want {
			t.Errorf("%s: %d, want %d (0 is no connection): %s", c.what, status, c.want, body)
		}
		if status != 0 && (header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Security-Policy") == "") {
			t.Errorf("%s: headers %v", c.what, header)
		}
	}
	if !strings.Contains(s.proc.output(), "closed connections from networks that are not allowed") {
		t.Error("the log says nothing of connections that were closed")
	}

	// The duties want a second factor too, which the first start's credential lacks.
	duties := []string{"CLD.6.3.1/P-1.2c", "CLD.13.1.4/P-7.2b"}
	for _, d := range duties {
		s.expect("", d, "not-met", "roles without a second factor")
	}
	link := regexp.MustCompile(`/join#(\S+)`).FindStringSubmatch(s.proc.output())
	if link == nil {
		t.Fatal("no link to join was printed")
	}
	newBrowser(t, s.client.Base).joins(link[1], "ada@provider.example")
	for _, d := range duties {
		s.expect("", d, "met", "")
	}
	s.proc.end(t)
	s.args = []string{"--https", https}
	s.start()
	for _, d := range duties {
		s.expect("", d, "not-met", "open to any address: "+https)
	}
}

type knocker struct {
	t           testing.TB
	data, token string
}

type knock struct {
	from, to, host, path, method string
	certificate                  *tls.Certificate
}

// knock makes one request and returns status 0 where no connection came about.
func (k knocker) knock(q knock) (int, string, http.Header) {
	k.t.Helper()
	pemCA, err := os.ReadFile(filepath.Join(k.data, "ca.pem"))
	if err != nil {
		k.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pemCA)
	conf := &tls.Config{RootCAs: roots, ServerName: "192.0.2.1"}
	if q.certificate != nil {
		// Sent also where the server names other authorities.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return q.certificate, nil }
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(q.from)}, Timeout: 5 * time.Second}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	if q.path == "" {
		q.path, q.method = "/v1/whoami", "GET"
	}
	body := io.Reader(nil)
	if q.method == "POST" {
		body = strings.NewReader(`{"public_key":"x","hostname":"h","machine_id":"m","software":"s"}`)
	}
	req, err := http.NewRequestWithContext(k.t.Context(), q.method, "https://"+q.to+q.path, body)
	if err != nil {
		k.t.Fatal(err)
	}
	req.Host = q.host
	req.Header.Set("Content-Type", "application/json")
	if q.path == "/v1/whoami" {
		req.Header.Set("Authorization", "Bearer "+k.token)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text), res.Header
}

// clientCertificate makes an authority and a client certificate of it.
func clientCertificate(t testing.TB, name string) (authority []byte, client *tls.Certificate) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
