package observer

import (
	"testing"
	"time"
)

// A login by certificate names the certificate and who signed it, which a
// login by a bare key does not.
func TestLoginByCertificate(t *testing.T) {
	const fp, ca = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "SHA256:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	for message, want := range map[string]attempt{
		"Accepted publickey for root from 192.0.2.1 port 50722 ssh2: ED25519-CERT " + fp + " ID demarc/gr-1/rec-2 (serial 123) CA ED25519 " + ca: {
			user: "root", source: "192.0.2.1", method: "publickey", key: fp, certificate: "demarc/gr-1/rec-2", authority: ca,
		},
		"Accepted publickey for root from 192.0.2.1 port 50722 ssh2: ED25519-CERT " + fp + " ID two words (serial 0) CA RSA " + ca: {
			user: "root", source: "192.0.2.1", method: "publickey", key: fp, certificate: "two words", authority: ca,
		},
		"Accepted publickey for anna from 192.0.2.1 port 50722 ssh2: ED25519 " + fp: {
			user: "anna", source: "192.0.2.1", method: "publickey", key: fp,
		},
	} {
		got, ok := parseAttempt("sshd", message, time.Time{})
		got.connection, got.ok = "", false
		if !ok || got != want {
			t.Errorf("%s:\n%+v, want %+v", message, got, want)
		}
	}
}
