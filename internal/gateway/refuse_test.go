package gateway_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
)

// TestRefused asks with the real client for what a grant of a shell does not
// include. Each is refused, said in words and recorded.
func TestRefused(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1", "AllowAgentForwarding yes", "AllowTcpForwarding yes", "PermitTunnel yes", "X11Forwarding yes", "AcceptEnv *", "GatewayPorts yes")
	g := r.grant(target, gateway.Shell)
	key := r.certified(g)
	local := listenNowhere(t)
	for _, c := range []struct {
		name   string
		args   []string
		stdin  string
		words  string
		action string
		shell  bool // the shell itself works
	}{
		{name: "exec", args: []string{"--", "id"}, words: "not part of your grant", action: "exec"},
		{name: "exec with a terminal", args: []string{"-tt", "--", "id"}, words: "not part of your grant", action: "exec"},
		{name: "shell without a terminal", args: []string{"-T"}, stdin: "id\n", words: "a shell without a terminal is refused", action: "exec"},
		{name: "sftp", args: []string{"-s", "--", "sftp"}, words: "file transfer is", action: "sftp"},
		{name: "another subsystem", args: []string{"-s", "--", "netconf"}, words: "the subsystem netconf is refused", action: "subsystem"},
		{name: "agent forwarding", args: []string{"-A", "-o", "IdentityAgent=" + agent(t), "-tt"}, stdin: "exit\r", words: "agent forwarding is refused", action: "agent-forwarding", shell: true},
		{name: "remote port", args: []string{"-R", "0:" + local, "-tt"}, stdin: "exit\r", words: "forwarding of remote ports is refused", action: "forwarding", shell: true},
		{name: "standard streams forwarded", args: []string{"-W", local}, words: "port forwarding is not part of your grant", action: "forwarding"},
		{name: "environment", args: []string{"-o", "SetEnv=DEMARC_TEST=passed", "-tt"}, stdin: "echo [$DEMARC_TEST]; exit\r", words: "[]", shell: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := count(r.acts("grant/"+g.ID), "session.refuse."+c.action)
			out, err := r.ssh(key, c.stdin, c.args...)
			if !strings.Contains(out, c.words) {
				t.Errorf("%v: %s", err, out)
			}
			if (err == nil) != c.shell {
				t.Errorf("ended with %v", err)
			}
			if strings.Contains(out, "uid=") || strings.Contains(out, "passed") {
				t.Errorf("it got through: %s", out)
			}
			if c.action != "" && count(r.acts("grant/"+g.ID), "session.refuse."+c.action) <= before {
				t.Errorf("the ledger has no session.refuse.%s: %v", c.action, r.acts("grant/"+g.ID))
			}
		})
	}
	t.Run("local and dynamic ports", func(t *testing.T) { forwardsNothing(t, r, key) })
	t.Run("scp", func(t *testing.T) { copiesNothing(t, r, key) })
}

func count(all []string, one string) (n int) {
	for _, a := range all {
		if a == one {
			n++
		}
	}
	return n
}

// listenNowhere is an address that answers with a word, if it is reached.
func listenNowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("uid=reached"))
			c.Close()
		}
	}()
	return l.Addr().String()
}

// agent starts an ssh-agent with a key, and returns its socket.
func agent(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ssh-agent")
	if err != nil {
		t.Skip("ssh-agent is not installed: apt-get install openssh-client")
	}
	dir, err := os.MkdirTemp("", "a")
	must(t, err)
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "-D", "-a", socket)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); os.RemoveAll(dir) })
	await(t, "the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	return socket
}

// await waits until ok.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not so after 10 s: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// forwardsNothing opens -L and -D and finds that nothing comes through.
func forwardsNothing(t *testing.T, r *rig, key string) {
	local, dynamic, to := freePort(t), freePort(t), listenNowhere(t)
	host, port, _ := net.SplitHostPort(r.address)
	cmd := exec.Command("ssh", append(r.sshArgs(key), "-p", port, "-l", "hv-1", "-N", "-L", local+":"+to, "-D", dynamic, host)...)
	var out lockedBuffer
	cmd.Stderr = &out
	must(t, cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for _, address := range []string{"127.0.0.1:" + local, "127.0.0.1:" + dynamic} {
		var c net.Conn
		await(t, "ssh listens", func() (ok bool) { var err error; c, err = net.Dial("tcp", address); return err == nil })
		if strings.HasSuffix(address, dynamic) {
			h, p, _ := net.SplitHostPort(to)
			ip := net.ParseIP(h).To4()
			var n int
			for _, d := range p {
				n = n*10 + int(d-'0')
			}
			c.Write(append([]byte{4, 1, byte(n >> 8), byte(n)}, append(ip, 0)...)) // SOCKS 4
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		if strings.Contains(string(buf[:n]), "reached") {
			t.Errorf("%s was passed on", address)
		}
		c.Close()
	}
	await(t, "the user is told", func() bool { return strings.Contains(out.String(), "port forwarding is not part of your grant") })
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// copiesNothing copies a file by scp, in its new and in its old way.
func copiesNothing(t *testing.T, r *rig, key string) {
	_, port, _ := net.SplitHostPort(r.address)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	must(t, os.WriteFile(from, []byte("content"), 0o600))
	for _, way := range []string{"-s", "-O"} {
		args := append(r.sshArgs(key), "-P", port, way, from, "hv-1@127.0.0.1:"+to)
		out, err := exec.Command("scp", args...).CombinedOutput()
		if _, e := os.Stat(to); err == nil || e == nil {
			t.Errorf("scp %s copied: %s", way, out)
		}
	}
}

// TestWhoGetsIn tries certificates that must not let anybody in.
func TestWhoGetsIn(t *testing.T) {
	r := newRig(t)
	sshd, target := r.host("hv-1")
	other := r.register("hv-2", sshd)
	g := r.grant(target, gateway.Shell)
	issue := func(h sshca.Holder, a *sshca.Authority) string {
		return r.keyFiles(func(pub string) *ssh.Certificate {
			k, err := gateway.ParseKey(pub)
			must(t, err)
			c, err := a.IssueHolder(h, k)
			must(t, err)
			return c
		})
	}
	whole := sshca.Holder{Grant: g.ID, Principal: holder, Targets: []string{"hv-1"}, Until: time.Now().Add(time.Hour)}
	with := func(change func(*sshca.Holder)) sshca.Holder { h := whole; change(&h); return h }
	foreign, err := sshca.Open(t.Context(), secrets{}, time.Now)
	must(t, err)
	yesterday, err := sshca.Open(t.Context(), r.secrets, func() time.Time { return time.Now().Add(-24 * time.Hour) })
	must(t, err)
	ended := r.grant(target, gateway.Shell)
	r.grants.end(ended.ID, false)
	elsewhere := r.grant(other, gateway.Shell)
	for _, c := range []struct {
		name, key, words string
		clear            func()
	}{
		{name: "the right one", key: issue(whole, r.authority), words: "This session is recorded"},
		{name: "of another installation", key: issue(whole, foreign), words: "not of this installation"},
		{name: "expired", key: issue(with(func(h *sshca.Holder) { h.Until = time.Now().Add(-23 * time.Hour) }), yesterday), words: "your certificate has expired"},
		{name: "for another target", key: issue(with(func(h *sshca.Holder) { h.Targets = []string{"hv-2"} }), r.authority), words: "not good for \"hv-1\""},
		{name: "of a grant that ended", key: issue(with(func(h *sshca.Holder) { h.Grant = ended.ID }), r.authority), words: "is not in force"},
		{name: "of no grant", key: issue(with(func(h *sshca.Holder) { h.Grant = "g-none" }), r.authority), words: "is not in force"},
		{name: "of another person", key: issue(with(func(h *sshca.Holder) { h.Principal = "p-bob" }), r.authority), words: "another person's"},
		{name: "of a grant for another target", key: issue(with(func(h *sshca.Holder) { h.Grant = elsewhere.ID }), r.authority), words: "does not reach"},
		{name: "for targets, not for people", key: r.targetKey(), words: "not of this installation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := r.ssh(c.key, "exit\r", "-tt")
			if !strings.Contains(out, c.words) || (err == nil) != (c.name == "the right one") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	t.Run("without a certificate", func(t *testing.T) {
		key := issue(whole, r.authority)
		must(t, os.Remove(key+"-cert.pub"))
		if out, err := r.ssh(key, "exit\r", "-tt"); err == nil || !strings.Contains(out, "certificates only") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("removed from the provider's people", func(t *testing.T) {
		r.people.remove(holder)
		defer r.people.restore(holder)
		if out, err := r.ssh(issue(whole, r.authority), "exit\r", "-tt"); err == nil || !strings.Contains(out, "no longer one of the provider's people") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("the certificate opens no plain sshd", func(t *testing.T) {
		host, port, _ := net.SplitHostPort(sshd.Address)
		key := issue(with(func(h *sshca.Holder) { h.Targets = []string{"hv-1", sshd.Login} }), r.authority)
		args := append(r.sshArgs(key), "-o", "StrictHostKeyChecking=no", "-p", port, "-l", sshd.Login, host, "id")
		if out, err := exec.Command("ssh", args...).CombinedOutput(); err == nil {
			t.Errorf("signed in past the gateway: %s", out)
		}
	})
	if !slices.Contains(r.acts("grant/"+elsewhere.ID), "session.refuse.target") {
		t.Error("the ledger does not have who tried a target in vain")
	}
}

// TestForeignHostKey finds that a target with another key is sent nothing.
func TestForeignHostKey(t *testing.T) {
	r := newRig(t)
	sshd, _ := r.host("hv-0")
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	k, err := ssh.NewPublicKey(pub)
	must(t, err)
	target, err := r.gateway.AddTarget(t.Context(), admin, store.Target{
		Name: "hv-1", Kind: "host", Address: sshd.Address, Login: sshd.Login, Trust: store.Trust{HostKeys: []string{string(ssh.MarshalAuthorizedKey(k))}},
	})
	must(t, err)
	g := r.grant(target, gateway.Shell)
	out, err := r.ssh(r.certified(g), "exit\r", "-tt")
	if err == nil || !strings.Contains(out, "another host key than the registered one") {
		t.Errorf("%v: %s", err, out)
	}
	if rec := r.recordings(g, 1)[0]; !strings.Contains(rec.Reason, "another host key") {
		t.Errorf("recorded as %+v", rec)
	}
}

// TestGuestIsNoTarget finds that a customer's VM cannot be reached, neither when
// it is registered nor when an address comes to be a VM's later.
func TestGuestIsNoTarget(t *testing.T) {
	r := newRig(t)
	sshd, target := r.host("hv-1")
	r.guests.set("127.0.0.1", "vm-1")
	_, err := r.gateway.AddTarget(t.Context(), admin, store.Target{
		Name: "hv-2", Kind: "host", Address: sshd.Address, Login: sshd.Login, Trust: store.Trust{HostKeys: []string{sshd.HostKey}},
	})
	if err == nil || !strings.Contains(err.Error(), "customer's VM") {
		t.Errorf("registered a guest: %v", err)
	}
	g := r.grant(target, gateway.Shell)
	out, err := r.ssh(r.certified(g), "exit\r", "-tt")
	if err == nil || !strings.Contains(out, "nobody of the provider can be given access to a guest") {
		t.Errorf("%v: %s", err, out)
	}
	for _, kind := range []string{"guest", "vm", "", "HOST"} {
		if _, err := r.gateway.AddTarget(t.Context(), access.Principal{ID: "p", Role: access.ProviderAdministrator}, store.Target{Name: "x", Kind: kind}); err == nil {
			t.Errorf("kind %q was registered", kind)
		}
	}
}
