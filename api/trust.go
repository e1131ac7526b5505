package api

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// plainHTTP trusts the machine's certificate authorities.
var plainHTTP, _ = NewHTTP(nil)

// NewHTTP makes an HTTP client that trusts the certificate authorities in ca
// (PEM) and no others; with an empty ca it trusts the machine's. Where the
// server asks for a client certificate, it shows one of certificates. It never
// follows a redirect, since the API has none and a token must not follow one.
func NewHTTP(ca []byte, certificates ...tls.Certificate) (*http.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certificates}
	if len(ca) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(ca) {
			return nil, errors.New("no certificate in the PEM of the certificate authority")
		}
		trust.RootCAs = pool
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     trust,
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     60 * time.Second,
			MaxIdleConnsPerHost: 4,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
