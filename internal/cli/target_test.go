package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/gateway/sshdtest"
)

// TestAskHost asks a real sshd for its key, and finds that only a person can
// say that it is right.
func TestAskHost(t *testing.T) {
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	sshd := sshdtest.Start(t, ca)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(sshd.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := &session{streams: Streams{In: strings.NewReader("y\n"), Out: &out, Err: &out}}
	if keys, err := s.askHost(context.Background(), consent{}, sshd.Address); err == nil {
		t.Errorf("believed %v without anybody to ask", keys)
	}
	keys, err := s.askHost(context.Background(), consent{Yes: true}, sshd.Address)
	if err != nil || len(keys) != 1 || keys[0] != sshd.HostKey || !strings.Contains(out.String(), ssh.FingerprintSHA256(key)) {
		t.Errorf("%v %v: %s", keys, err, out.String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	if _, err := s.askHost(context.Background(), consent{Yes: true}, nobody); err == nil {
		t.Error("a host that is not there has keys")
	}
}

// TestAskConsole does the same with a web console.
func TestAskConsole(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	var out bytes.Buffer
	s := &session{streams: Streams{In: strings.NewReader(""), Out: &out, Err: &out}}
	pin, err := s.askConsole(context.Background(), consent{Yes: true}, server.URL)
	if err != nil || !strings.HasPrefix(pin, "sha256:") || !strings.Contains(out.String(), pin) {
		t.Errorf("%q %v: %s", pin, err, out.String())
	}
}
