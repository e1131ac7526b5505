package cli

import (
	"bufio"
	"crypto/ed25519"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program says where a program is, and skips the test where it is not.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not there: %v", name, err)
	}
	return path
}

func signerSession(env map[string]string) *session {
	return &session{
		streams: Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard},
		env:     func(name string) string { return env[name] }, now: time.Now, flags: &globals{Output: "table"},
	}
}

func signs(t *testing.T, s *session, f keyFlags, want ed25519.PublicKey) {
	t.Helper()
	k, err := f.signer(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("demarc-decision-v1\n{}")
	sig, err := k.sign(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	if want != nil && !want.Equal(k.public()) {
		t.Error("another key signs than the one meant")
	}
	if !ed25519.Verify(k.public(), message, sig) {
		t.Error("the signature does not verify")
	}
}

// TestSSHAgent signs with a key that a real ssh-agent holds.
func TestSSHAgent(t *testing.T) {
	daemon, add := program(t, "ssh-agent"), program(t, "ssh-add")
	dir, err := os.MkdirTemp("", "sa") // a socket's path may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	cmd := exec.CommandContext(t.Context(), daemon, "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }() // it runs until then
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SSH_AUTH_SOCK": socket}
	s := signerSession(env)
	if _, err := (keyFlags{Agent: true}).signer(t.Context(), s); err == nil || !strings.Contains(err.Error(), "no such Ed25519 key") {
		t.Errorf("an empty agent: %v", err)
	}
	var keys []ed25519.PublicKey
	for _, name := range []string{"one", "two"} {
		path := filepath.Join(dir, name)
		if err := (&keyGenerateCmd{File: path}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		load := exec.CommandContext(t.Context(), add, path)
		load.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		if said, err := load.CombinedOutput(); err != nil {
			t.Fatalf("ssh-add: %v\n%s", err, said)
		}
		raw, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		k, err := publicKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
		if name == "one" {
			signs(t, s, keyFlags{Agent: true}, k)
		}
	}
	if _, err := (keyFlags{Agent: true}).signer(t.Context(), s); err == nil || !strings.Contains(err.Error(), "2 Ed25519 keys") {
		t.Errorf("two keys and none named: %v", err)
	}
	listed, err := exec.CommandContext(t.Context(), "env", "SSH_AUTH_SOCK="+socket, add, "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(listed)), "\n") {
		signs(t, s, keyFlags{Agent: true, Fingerprint: strings.Fields(line)[1]}, keys[i])
	}
	if _, err := (keyFlags{Agent: true}).signer(t.Context(), signerSession(nil)); err == nil {
		t.Error("without an agent there is a signer")
	}
}

// TestToken signs with a key that never leaves a PKCS#11 token (SoftHSM).
func TestToken(t *testing.T) {
	util, tool := program(t, "softhsm2-util"), program(t, "pkcs11-tool")
	libraries, err := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	if err != nil || len(libraries) == 0 {
		t.Skip("the library of SoftHSM is not there")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(config, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	t.Setenv("TEST_PIN", "1234")
	for _, args := range [][]string{
		{util, "--init-token", "--free", "--label", "demarc", "--pin", "1234", "--so-pin", "5678"},
		{tool, "--module", libraries[0], "--token-label", "demarc", "--login", "--pin", "env:TEST_PIN", "--keypairgen", "--key-type", "EC:edwards25519", "--label", "sign"},
	} {
		if said, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, said)
		}
	}
	f := keyFlags{PKCS11: libraries[0], TokenLabel: "demarc", KeyLabel: "sign"}
	signs(t, signerSession(map[string]string{"DEMARC_PIN": "1234"}), f, nil)
	_, err = f.signer(t.Context(), signerSession(map[string]string{"DEMARC_PIN": "9999"}))
	if err == nil || strings.Contains(err.Error(), "9999") {
		t.Errorf("a wrong PIN: %v", err)
	}
	if _, err := f.signer(t.Context(), signerSession(nil)); err == nil || !strings.Contains(err.Error(), "PIN") {
		t.Errorf("no PIN: %v", err)
	}
}

func TestForeignKeys(t *testing.T) {
	dir := t.TempDir()
	s := signerSession(nil)
	for name, text := range map[string]string{
		"empty": "", "words": "hello", "half": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
		"rsa": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQ== x", "large": strings.Repeat("x", keyLimit+1),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readPrivateKey(s, path); err == nil {
			t.Errorf("%s is a private key", name)
		}
		if _, err := signingKey(path, newKeyFlags{}); err == nil {
			t.Errorf("%s is a public key", name)
		}
	}
	if _, err := (keyFlags{Agent: true, Key: "x"}).signer(t.Context(), s); err == nil {
		t.Error("two keys at once")
	}
}

// FuzzPublicKey reads what somebody takes for a public key.
func FuzzPublicKey(f *testing.F) {
	f.Add([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEqpDa3zvKcozomBz4Jp+C/rufgmhLCn3/m+GjDUjDEb demarc"))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEASqkNrfO8pyjOiYHPgmn4L+u5+CaEsKff+b4aMNSMMRs=\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if k, err := publicKey(raw); err == nil && len(k) != ed25519.PublicKeySize {
			t.Fatalf("a key of %d bytes", len(k))
		}
	})
}
