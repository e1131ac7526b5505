package cli

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// askTime bounds how long a target is asked for its key.
const askTime = 10 * time.Second

// askHost asks a host for its keys, and the user whether they are right.
func (s *session) askHost(ctx context.Context, yes consent, host string) ([]string, error) {
	address := host
	if _, _, err := net.SplitHostPort(host); err != nil {
		address = net.JoinHostPort(strings.Trim(host, "[]"), "22")
	}
	var lines []string
	for _, algorithms := range [][]string{
		{ssh.KeyAlgoED25519}, {ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}, {ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	} {
		k, err := hostKey(ctx, address, algorithms)
		if err != nil {
			return nil, fmt.Errorf("asking %s for its key: %w", address, err)
		}
		if k != nil {
			lines = append(lines, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))))
			fmt.Fprintf(s.streams.Err, "%s shows the %s key %s\n", clean(address), k.Type(), ssh.FingerprintSHA256(k))
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s shows no key of a type that is used", address)
	}
	fmt.Fprintln(s.streams.Err, "On the host, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows what it should be.")
	return lines, s.confirm(yes, "Are these the keys of %s?", host)
}

// hostKey returns the key of one of the types, nil if the host has none.
func hostKey(ctx context.Context, address string, algorithms []string) (key ssh.PublicKey, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	enough := errors.New("that is all")
	_, _, _, err = ssh.NewClientConn(raw, address, &ssh.ClientConfig{
		User: "demarc", HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error { key = k; return enough },
	})
	if key == nil && (ctx.Err() != nil || err != nil && !strings.Contains(err.Error(), "no common algorithm")) {
		return nil, err
	}
	return key, nil
}

// askConsole asks a web console for its certificate, and the user whether it is
// right. It returns the pin of its public key.
func (s *session) askConsole(ctx context.Context, yes consent, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return "", usage("write https://HOST[:PORT]", "%q is no address of a web console", address)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	// Whose certificate it is the user decides, by its digest.
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: u.Hostname()}}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("asking %s for its certificate: %w", u.Host, err)
	}
	defer conn.Close()
	cert := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	pin := "sha256:" + hex.EncodeToString(sum[:])
	fmt.Fprintf(s.streams.Err, "%s shows a certificate of %s, from %s, until %s\nwith the public key %s\n",
		clean(u.Host), clean(cert.Subject.String()), clean(cert.Issuer.String()), cert.NotAfter.UTC().Format("2006-01-02"), pin)
	return pin, s.confirm(yes, "Is this the key of %s?", u.Host)
}
