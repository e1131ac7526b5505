package gateway_test

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/gateway"
)

// terminal is a session of a client whose terminal the test holds.
type terminal struct {
	t       testing.TB
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	out     *lockedBuffer
	ended   chan struct{}
}

// open signs in and begins a shell in a terminal.
func (r *rig) open(key string) *terminal {
	r.t.Helper()
	client, err := r.dial(key, "hv-1")
	must(r.t, err)
	r.t.Cleanup(func() { client.Close() })
	x := &terminal{t: r.t, client: client, out: &lockedBuffer{}, ended: make(chan struct{})}
	x.session, err = client.NewSession()
	must(r.t, err)
	x.session.Stdout, x.session.Stderr = x.out, x.out
	x.in, err = x.session.StdinPipe()
	must(r.t, err)
	must(r.t, x.session.RequestPty("xterm", 30, 90, ssh.TerminalModes{}))
	must(r.t, x.session.Shell())
	go func() { client.Wait(); close(x.ended) }()
	return x
}

func (r *rig) dial(key, user string) (*ssh.Client, error) {
	r.t.Helper()
	signer, err := readSigner(key)
	must(r.t, err)
	return ssh.Dial("tcp", r.address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(r.authority.Gateway().PublicKey()),
	})
}

// readSigner reads a key with its certificate.
func readSigner(key string) (ssh.Signer, error) {
	raw, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		return nil, err
	}
	line, err := os.ReadFile(key + "-cert.pub")
	if err != nil {
		return nil, err
	}
	cert, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, err
	}
	return ssh.NewCertSigner(cert.(*ssh.Certificate), signer)
}

func (x *terminal) type_(text string) {
	x.t.Helper()
	_, err := io.WriteString(x.in, text)
	must(x.t, err)
}

func (x *terminal) shows(text string) {
	x.t.Helper()
	await(x.t, "the terminal shows "+text, func() bool { return strings.Contains(x.out.String(), text) })
}

// TestWindow changes the size of the window, and finds it on the target and in
// the recording.
func TestWindow(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1")
	g := r.grant(target, gateway.Shell)
	x := r.open(r.certified(g))
	x.type_("echo size-$(stty size)\r")
	x.shows("size-30 90")
	must(t, x.session.WindowChange(41, 123))
	x.type_("echo size-$(stty size)\r")
	x.shows("size-41 123")
	x.type_("exit\r")
	events := r.replay(r.recordings(g, 1)[0])
	if events["r"] != "123x41" {
		t.Errorf("resized to %q", events["r"])
	}
}

// TestTyped finds what was typed in the recording, but for a password.
func TestTyped(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1")
	g := r.grant(target, gateway.Shell)
	x := r.open(r.certified(g))
	x.type_("PS1=ready'> '; bind 'set enable-bracketed-paste off'\r")
	x.shows("ready> ")
	for _, c := range "read -s p; echo got ${#p}\r" {
		x.type_(string(c)) // as a person does, waiting for the echo
		<-time.After(5 * time.Millisecond)
	}
	<-time.After(200 * time.Millisecond)
	for _, c := range "correct horse\r" {
		x.type_(string(c))
		<-time.After(5 * time.Millisecond)
	}
	x.shows("got 13")
	x.type_("exit\r")
	rec := r.recordings(g, 1)[0]
	events := r.replay(rec)
	if typed := events["i"]; !strings.Contains(typed, "echo got") || strings.Contains(typed, "correct") || strings.Contains(typed, "horse") || !strings.Contains(typed, strings.Repeat("\u2022", 13)) {
		t.Errorf("typed: %q", typed)
	}
	raw, err := os.ReadFile(r.file(rec))
	must(t, err)
	if strings.Contains(string(raw), "correct horse") {
		t.Error("the password is in the file")
	}
}

// TestRevocationCloses ends grants of open sessions, and measures how long they
// go on: ended by this process, by another server, by time, and by removing the
// person.
func TestRevocationCloses(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1")
	for _, c := range []struct {
		name, words string
		end         func(gateway.Grant)
	}{
		{"here", "your access was ended", func(g gateway.Grant) { r.grants.end(g.ID, true) }},
		{"on another server", "your access was ended", func(g gateway.Grant) { r.grants.end(g.ID, false) }},
		{"by time", "the time of your access is over", func(g gateway.Grant) {
			r.grants.until(g.ID, time.Now().Add(500*time.Millisecond))
			<-time.After(500 * time.Millisecond)
		}},
		{"person removed", "no longer one of the provider's people", func(gateway.Grant) { r.people.remove(holder) }},
		{"target removed", "taken out of reach", func(gateway.Grant) {
			_, err := r.gateway.RemoveTarget(t.Context(), admin, target.ID)
			must(t, err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := r.grant(target, gateway.Shell)
			x := r.open(r.certified(g))
			x.type_("echo on-line-$((40+2))\r")
			x.shows("on-line-42")
			if c.name == "by time" {
				r.grants.until(g.ID, time.Now().Add(30*time.Second))
				x.shows("your access ends within a minute")
			}
			began := time.Now()
			c.end(g)
			select {
			case <-x.ended:
			case <-time.After(5 * time.Second):
				t.Fatal("the session goes on")
			}
			took := time.Since(began)
			if c.name == "by time" {
				took -= 500 * time.Millisecond
			}
			t.Logf("closed after %v", took.Round(time.Millisecond))
			if took > time.Second {
				t.Errorf("it took %v", took)
			}
			if !strings.Contains(x.out.String(), c.words) {
				t.Errorf("the user was told: %q", x.out.String())
			}
			rec := r.recordings(g, 1)[0]
			if rec.State != "complete" || !strings.Contains(rec.Reason, c.words) {
				t.Errorf("recorded as %+v", rec)
			}
			r.people.restore(holder)
		})
	}
}

// TestEndsUnderLoad ends a grant while the target floods a client that does not
// read: it must be closed all the same.
func TestEndsUnderLoad(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1")
	g := r.grant(target, gateway.Shell)
	client, err := r.dial(r.certified(g), "hv-1")
	must(t, err)
	defer client.Close()
	ch, requests, err := client.OpenChannel("session", nil)
	must(t, err)
	go ssh.DiscardRequests(requests)
	ch.SendRequest("pty-req", true, ssh.Marshal(struct {
		Term       string
		C, R, X, Y uint32
		Modes      string
	}{"xterm", 80, 24, 0, 0, ""}))
	ch.SendRequest("shell", true, nil)
	ch.Write([]byte("yes\r"))
	await(t, "the session is recorded", func() bool { return len(r.live(g)) == 1 })
	<-time.After(300 * time.Millisecond)
	began := time.Now()
	ended := make(chan struct{})
	go func() { client.Wait(); close(ended) }()
	r.grants.end(g.ID, true)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the session goes on")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	r.replay(r.recordings(g, 1)[0])
}

// TestRace opens sessions while their grants end: none may be open afterwards.
func TestRace(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1")
	var all sync.WaitGroup
	for range 8 {
		g := r.grant(target, gateway.Shell)
		key := r.certified(g)
		all.Go(func() {
			client, err := r.dial(key, "hv-1")
			if err != nil {
				return
			}
			defer client.Close()
			s, err := client.NewSession()
			if err == nil && s.RequestPty("xterm", 24, 80, nil) == nil {
				s.Shell()
			}
			ended := make(chan struct{})
			go func() { client.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-time.After(3 * time.Second):
				t.Errorf("a session of grant %s is open", g.ID)
			}
		})
		all.Go(func() { r.grants.end(g.ID, true) })
	}
	all.Wait()
}

// TestStrangers opens connections that never sign in: others must still get in.
func TestStrangers(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1")
	for range 150 {
		c, err := net.Dial("tcp", r.address)
		must(t, err)
		defer c.Close()
	}
	g := r.grant(target, gateway.Shell)
	if out, err := r.ssh(r.certified(g), "exit\r", "-tt"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
