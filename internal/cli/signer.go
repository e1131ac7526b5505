package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keyFlags say where the customer's Ed25519 key is.
type keyFlags struct {
	Key         string `help:"Sign with the key in this file." placeholder:"FILE" type:"path"`
	Agent       bool   `help:"Sign with a key of the ssh-agent."`
	Fingerprint string `help:"Which key of the ssh-agent, as ssh-add -l prints it; needed where it holds more than one Ed25519 key." placeholder:"SHA256:…"`
	PKCS11      string `name:"pkcs11" help:"Sign with a token: path of its PKCS#11 library. The program pkcs11-tool (package opensc) is used; the PIN is asked for, or taken from DEMARC_PIN." placeholder:"LIBRARY" type:"path"`
	TokenLabel  string `name:"token-label" help:"Label of the token, where the library knows several." placeholder:"LABEL"`
	KeyLabel    string `name:"key-label" help:"Label of the key on the token." placeholder:"LABEL"`
}

// named reports whether a key was named at all.
func (f keyFlags) named() bool { return f.Key != "" || f.Agent || f.PKCS11 != "" }

// signer makes Ed25519 signatures (RFC 8032) with a key that never leaves where
// it is.
type signer interface {
	public() ed25519.PublicKey
	sign(ctx context.Context, message []byte) ([]byte, error)
}

// signer opens the key.
func (f keyFlags) signer(ctx context.Context, s *session) (signer, error) {
	n := 0
	for _, given := range []bool{f.Key != "", f.Agent, f.PKCS11 != ""} {
		if given {
			n++
		}
	}
	switch {
	case n != 1:
		return nil, usage("name one of --key FILE, --agent, --pkcs11 LIBRARY", "with which key?")
	case f.Key != "":
		return readPrivateKey(s, f.Key)
	case f.Agent:
		return openSSHAgent(ctx, s, f.Fingerprint)
	}
	return openToken(ctx, s, f)
}

// der is the public key as SubjectPublicKeyInfo.
func der(p ed25519.PublicKey) ([]byte, error) {
	b, err := x509.MarshalPKIXPublicKey(p)
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	return b, nil
}

// fileSigner is a key in a file.
type fileSigner ed25519.PrivateKey

func (k fileSigner) public() ed25519.PublicKey {
	return ed25519.PrivateKey(k).Public().(ed25519.PublicKey)
}

func (k fileSigner) sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

// keyLimit bounds a key file.
const keyLimit = 64 << 10

// readPrivateKey reads an OpenSSH or PKCS#8 key, and asks for its passphrase.
func readPrivateKey(s *session, path string) (signer, error) {
	raw, err := readBounded(path, keyLimit)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	key, err := ssh.ParseRawPrivateKey(raw)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		phrase, perr := s.secret("DEMARC_KEY_PASSPHRASE", "Passphrase of "+path)
		if perr != nil {
			return nil, perr
		}
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(raw, []byte(phrase))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", path, err)
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return fileSigner(k), nil
	case *ed25519.PrivateKey:
		return fileSigner(*k), nil
	}
	return nil, fmt.Errorf("the key %s is not Ed25519; make one with `demarc key generate FILE`", path)
}

// secret takes a secret from a variable, or asks for it.
func (s *session) secret(variable, question string) (string, error) {
	if v := s.env(variable); v != "" {
		return v, nil
	}
	if _, tty := terminalOf(s.streams.In); !tty {
		return "", usage("set "+variable, "%s? There is no terminal to ask at", question)
	}
	fmt.Fprintf(s.streams.Err, "%s: ", clean(question))
	v, err := s.readSecret()
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	return v, nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return raw, err
}

// agentSigner is a key of the ssh-agent.
type agentSigner struct {
	keys agent.ExtendedAgent
	key  ssh.PublicKey
}

func openSSHAgent(ctx context.Context, s *session, fingerprint string) (signer, error) {
	path := s.env("SSH_AUTH_SOCK")
	if path == "" {
		return nil, usage("start one and add the key with ssh-add", "there is no ssh-agent: SSH_AUTH_SOCK is not set")
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("asking the ssh-agent: %w", err)
	}
	context.AfterFunc(ctx, func() { conn.Close() }) // ends with the command
	keys := agent.NewClient(conn)
	all, err := keys.List()
	if err != nil {
		return nil, fmt.Errorf("asking the ssh-agent for its keys: %w", err)
	}
	var found []ssh.PublicKey
	for _, k := range all {
		if k.Type() == ssh.KeyAlgoED25519 && (fingerprint == "" || ssh.FingerprintSHA256(k) == fingerprint) {
			p, err := ssh.ParsePublicKey(k.Blob)
			if err != nil {
				return nil, fmt.Errorf("reading a key of the ssh-agent: %w", err)
			}
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, errors.New("the ssh-agent holds no such Ed25519 key; see `ssh-add -l`")
	case 1:
		return agentSigner{keys, found[0]}, nil
	}
	return nil, usage("say which with --fingerprint, see `ssh-add -l`", "the ssh-agent holds %d Ed25519 keys", len(found))
}

func (k agentSigner) public() ed25519.PublicKey {
	p, _ := k.key.(ssh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)
	return p
}

func (k agentSigner) sign(_ context.Context, message []byte) ([]byte, error) {
	sig, err := k.keys.Sign(k.key, message)
	if err != nil {
		return nil, fmt.Errorf("signing with the ssh-agent: %w", err)
	}
	return sig.Blob, nil
}

// tokenSigner is a key on a PKCS#11 token, used through pkcs11-tool of OpenSC:
// a library of foreign machine code does not get into this program.
type tokenSigner struct {
	flags keyFlags
	pin   string
	key   ed25519.PublicKey
}

func openToken(ctx context.Context, s *session, f keyFlags) (signer, error) {
	pin, err := s.secret("DEMARC_PIN", "PIN of the token")
	if err != nil {
		return nil, err
	}
	t := tokenSigner{flags: f, pin: pin}
	raw, err := t.tool(ctx, nil, "--read-object", "--type", "pubkey")
	if err != nil {
		return nil, err
	}
	if t.key, err = publicKey(raw); err != nil {
		return nil, fmt.Errorf("reading the public key of the token: %w", err)
	}
	return t, nil
}

func (t tokenSigner) public() ed25519.PublicKey { return t.key }

func (t tokenSigner) sign(ctx context.Context, message []byte) ([]byte, error) {
	sig, err := t.tool(ctx, message, "--sign", "--mechanism", "EDDSA")
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(t.key, message, sig) {
		return nil, errors.New("the token made a signature that does not fit its key: is the key Ed25519?")
	}
	return sig, nil
}

// tool runs pkcs11-tool and returns what it wrote. The PIN goes through its
// environment, never through its arguments, which everybody can see.
func (t tokenSigner) tool(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "demarc-token-")
	if err != nil {
		return nil, fmt.Errorf("talking to the token: %w", err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "out")
	args = append([]string{"--module", t.flags.PKCS11, "--login", "--pin", "env:DEMARC_TOKEN_PIN", "--output-file", out}, args...)
	if t.flags.TokenLabel != "" {
		args = append(args, "--token-label", t.flags.TokenLabel)
	}
	if t.flags.KeyLabel != "" {
		args = append(args, "--label", t.flags.KeyLabel)
	}
	if input != nil {
		in := filepath.Join(dir, "in")
		if err := os.WriteFile(in, input, 0o600); err != nil {
			return nil, fmt.Errorf("talking to the token: %w", err)
		}
		args = append(args, "--input-file", in)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "pkcs11-tool", args...)
	cmd.Env = append(os.Environ(), "DEMARC_TOKEN_PIN="+t.pin)
	said, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("the program pkcs11-tool is not there: install the package opensc")
	}
	if err != nil {
		return nil, fmt.Errorf("talking to the token: %w: %s", err, strings.TrimSpace(clean(string(said))))
	}
	raw, err := readBounded(out, keyLimit)
	if err != nil {
		return nil, fmt.Errorf("talking to the token: %w", err)
	}
	return raw, nil
}

// publicKey reads an Ed25519 public key: a line of OpenSSH, PEM, or DER.
func publicKey(raw []byte) (ed25519.PublicKey, error) {
	if p, _, _, _, err := ssh.ParseAuthorizedKey(raw); err == nil {
		c, ok := p.(ssh.CryptoPublicKey)
		if !ok {
			return nil, errors.New("it is not Ed25519")
		}
		if k, ok := c.CryptoPublicKey().(ed25519.PublicKey); ok {
			return k, nil
		}
		return nil, errors.New("it is not Ed25519")
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	p, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return nil, errors.New("it is no public key: want a line of OpenSSH (FILE.pub), PEM or DER")
	}
	k, ok := p.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("it is not Ed25519")
	}
	return k, nil
}
