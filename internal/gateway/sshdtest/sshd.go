// Package sshdtest runs a real OpenSSH server for tests: with a configuration,
// keys and a port of its own, on the loopback interface, in a directory that
// goes with the test.
package sshdtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Server is a running sshd.
type Server struct {
	// Address is HOST:PORT, Login the account that can sign in, HostKey the line
	// of its public key.
	Address, Login, HostKey string
	// Log is the file that it logs to.
	Log string
}

// Start runs sshd with the lines that a target needs, and trusts the authority.
// The test is skipped where sshd is missing or cannot run.
func Start(t testing.TB, authority ssh.PublicKey, more ...string) *Server {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd = "/usr/sbin/sshd"; exec.Command("test", "-x", sshd).Run() != nil {
			t.Skip("sshd is not installed: apt-get install openssh-server")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hostKey := writeHostKey(t, filepath.Join(dir, "host"))
	s := &Server{Address: freeAddress(t), Login: me.Username, HostKey: hostKey, Log: filepath.Join(dir, "log")}
	host, port, _ := net.SplitHostPort(s.Address)
	ca := filepath.Join(dir, "ca.pub")
	write(t, ca, string(ssh.MarshalAuthorizedKey(authority)))
	conf := append([]string{
		"ListenAddress " + host, "Port " + port, "HostKey " + filepath.Join(dir, "host"), "PidFile none",
		"TrustedUserCAKeys " + ca, "AuthorizedKeysFile none", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"UsePAM no", "StrictModes no", "PermitRootLogin prohibit-password", "LogLevel VERBOSE", "MaxStartups 500", "MaxSessions 500",
		"Subsystem sftp internal-sftp",
	}, more...)
	write(t, filepath.Join(dir, "config"), strings.Join(conf, "\n")+"\n")
	args := []string{sshd, "-D", "-E", s.Log, "-f", filepath.Join(dir, "config")}
	if os.Getuid() == 0 {
		if _, err := os.Stat("/run/sshd"); err != nil {
			// sshd wants this directory when it runs as root: it gets one that only it sees.
			args = append([]string{"unshare", "-m", "sh", "-c", `mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"`, "sh"}, args...)
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Skipf("sshd does not run here: %v", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	s.await(t, cmd)
	return s
}

func (s *Server) await(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			conn.Close()
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	text, _ := os.ReadFile(s.Log)
	t.Fatalf("%v does not listen: %s", cmd.Args, text)
}

func writeHostKey(t testing.TB, path string) (line string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(block)))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(fmt.Errorf("prepare sshd: %w", err))
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
