package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api"
)

// accessUse are the commands that open sessions under a grant.
type accessUse struct {
	Certificate accessCertificateCmd `cmd:"" help:"Certify a key of yours for the gateway."`
	SSH         accessSSHCmd         `cmd:"" name:"ssh" help:"Open a session on a host."`
	Console     accessConsoleCmd     `cmd:"" help:"Open a web console."`
}

type accessCertificateCmd struct {
	Grant string `arg:"" help:"Id of the grant."`
	Key   string `required:"" type:"existingfile" help:"Public key to certify." placeholder:"FILE.pub"`
	Out   string `help:"Where the certificate goes; beside the key, as ssh looks for it, if left out." placeholder:"FILE"`
}

// Help is shown below the flags.
func (accessCertificateCmd) Help() string {
	return `The certificate ends with the grant, and after 8 hours at most. Then:
  ssh -p 7427 hv-1@GATEWAY

Example:
  demarc access certificate gr-01h... --key ~/.ssh/id_ed25519.pub`
}

type accessSSHCmd struct {
	Grant  string   `arg:"" help:"Id of the grant."`
	Target string   `arg:"" optional:"" help:"Name of the host; the grant's only one if left out."`
	Args   []string `arg:"" optional:"" passthrough:"" help:"Command to run, where the grant allows that."`
}

// Help is shown below the flags.
func (accessSSHCmd) Help() string {
	return `Makes a key for this session alone, has it certified, and runs ssh. The key is gone afterwards.

Examples:
  demarc access ssh gr-01h... hv-1
  demarc access ssh gr-01h... hv-1 -- df -h`
}

type accessConsoleCmd struct {
	Grant  string `arg:"" help:"Id of the grant."`
	Target string `arg:"" help:"Name of the web console."`
}

// Run certifies a key.
func (c *accessCertificateCmd) Run(ctx context.Context, s *session) error {
	public, err := os.ReadFile(c.Key)
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	if strings.Contains(string(public), "PRIVATE KEY") {
		return usage("give the file that ends in .pub", "%s is a private key, which nobody should be sent", c.Key)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	cert, err := client.Certify(ctx, c.Grant, api.NewCertificate{PublicKey: strings.TrimSpace(string(public))})
	if err != nil {
		return fmt.Errorf("certifying %s for grant %s: %w", c.Key, c.Grant, err)
	}
	out := c.Out
	if out == "" {
		out = strings.TrimSuffix(c.Key, ".pub") + "-cert.pub"
	}
	err = replaceFile(out, func(f *os.File) error {
		_, err := f.WriteString(cert.Certificate + "\n")
		return err
	})
	if err != nil {
		return err
	}
	s.note("written to %s: good for %s until %s", out, strings.Join(cert.Targets, ", "), clock(cert.Expires))
	if s.flags.Output != "table" {
		return s.printValue(cert)
	}
	return nil
}

// Run opens a session.
func (c *accessSSHCmd) Run(ctx context.Context, s *session) error {
	if len(c.Args) > 0 && c.Args[0] == "--" {
		c.Args = c.Args[1:]
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		return usage("install openssh-client, or use `demarc access certificate` with a client of your own", "there is no ssh on this machine")
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "demarc-") // 0700
	if err != nil {
		return fmt.Errorf("making a place for the session's key: %w", err)
	}
	defer os.RemoveAll(dir)
	key := filepath.Join(dir, "key")
	public, err := newKey(key)
	if err != nil {
		return err
	}
	cert, err := client.Certify(ctx, c.Grant, api.NewCertificate{PublicKey: public})
	if err != nil {
		return fmt.Errorf("certifying a key for grant %s: %w", c.Grant, err)
	}
	target, err := c.target(cert)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(cert.Gateway.Address)
	if err != nil {
		return errors.New("the server has no SSH gateway; it is started with --ssh")
	}
	known := fmt.Sprintf("[%s]:%s %s\n", host, port, cert.Gateway.HostKey)
	for name, text := range map[string]string{"key-cert.pub": cert.Certificate + "\n", "known": known} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the session's %s: %w", name, err)
		}
	}
	args := []string{
		"-F", "none", "-i", key, "-o", "CertificateFile=" + key + "-cert.pub", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"), "-o", "GlobalKnownHostsFile=none", "-o", "ServerAliveInterval=15",
		"-p", port, "-l", target,
	}
	if len(c.Args) == 0 {
		args = append(args, "-tt") // a shell has a terminal, also where the input is none
	}
	cmd := exec.Command(program, append(append(args, "--", host), c.Args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.streams.In, s.streams.Out, s.streams.Err
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &fault{code: max(1, exit.ExitCode()), err: fmt.Errorf("ssh ended with %d", exit.ExitCode())}
	}
	return err
}

// target is the one named, or the only one.
func (c *accessSSHCmd) target(cert api.Certificate) (string, error) {
	switch {
	case c.Target != "" && !slices.Contains(cert.Targets, c.Target):
		return "", usage("name one of "+strings.Join(cert.Targets, ", "), "grant %s does not reach %q", c.Grant, c.Target)
	case c.Target != "":
		return c.Target, nil
	case len(cert.Targets) == 1:
		return cert.Targets[0], nil
	}
	return "", usage("name one of "+strings.Join(cert.Targets, ", "), "grant %s reaches several hosts", c.Grant)
}

// newKey writes a private key and returns its public half as a line.
func newKey(path string) (public string, err error) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	k, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", fmt.Errorf("writing the session's key: %w", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))), nil
}

var consoleTicketColumns = []column[api.ConsoleTicket]{
	{key: "url", head: "OPEN", text: func(v api.ConsoleTicket) string { return v.URL }},
	{key: "expires", head: "UNTIL", text: func(v api.ConsoleTicket) string { return stamp(v.Expires) }, show: func(v api.ConsoleTicket) string { return clock(v.Expires) }},
}

// Run opens a web console.
func (c *accessConsoleCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	t, err := client.OpenConsole(ctx, c.Grant, api.NewConsole{Target: c.Target})
	if err != nil {
		return fmt.Errorf("opening %s under grant %s: %w", c.Target, c.Grant, err)
	}
	s.note("Open it in a browser; the address works once.")
	return printOne(s, t, consoleTicketColumns)
}
