package gateway_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/gateway/sshdtest"
)

// directKey is a key that signs in on the target past the gateway.
func (r *rig) directKey(s *sshdtest.Server) (ssh.Signer, string) {
	r.t.Helper()
	path := r.keyFiles(func(pub string) *ssh.Certificate {
		k, err := gateway.ParseKey(pub)
		must(r.t, err)
		c := &ssh.Certificate{Key: k, CertType: ssh.UserCert, KeyId: "bench", ValidPrincipals: []string{s.Login}, ValidBefore: ssh.CertTimeInfinity,
			Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}}}
		ca, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(r.secrets["ssh.targets"]))
		must(r.t, err)
		must(r.t, c.SignCert(rand.Reader, ca))
		return c
	})
	signer, err := readSigner(path)
	must(r.t, err)
	return signer, path
}

// BenchmarkEcho measures how long a typed character takes to be shown, through
// the gateway and directly, in turns on the same machine. Figures: p99 of
// either, and what the gateway adds.
//
//	go test ./internal/gateway -run '^$' -bench Echo -benchtime 3000x
func BenchmarkEcho(b *testing.B) {
	r := newRig(b)
	sshd, target := r.host("hv-1")
	g := r.grant(target, gateway.Shell)
	through, err := r.dial(r.certified(g), "hv-1")
	must(b, err)
	defer through.Close()
	signer, _ := r.directKey(sshd)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(sshd.HostKey))
	must(b, err)
	direct, err := ssh.Dial("tcp", sshd.Address, &ssh.ClientConfig{User: sshd.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(key)})
	must(b, err)
	defer direct.Close()
	a, z := echoing(b, direct), echoing(b, through)
	var plain, recorded []time.Duration
	for b.Loop() {
		plain = append(plain, a())
		recorded = append(recorded, z())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(at(plain, 99)), "direct-p99-ms")
	b.ReportMetric(ms(at(recorded, 99)), "gateway-p99-ms")
	b.ReportMetric(ms(at(recorded, 50)-at(plain, 50)), "added-p50-ms")
	b.ReportMetric(ms(at(recorded, 99)-at(plain, 99)), "added-p99-ms")
}

// echoing opens a terminal that only echoes, and returns a function that types
// one character and waits for it.
func echoing(b testing.TB, c *ssh.Client) func() time.Duration {
	s, err := c.NewSession()
	must(b, err)
	in, err := s.StdinPipe()
	must(b, err)
	out, err := s.StdoutPipe()
	must(b, err)
	must(b, s.RequestPty("xterm", 24, 80, nil))
	must(b, s.Shell())
	_, err = io.WriteString(in, "echo be''gin; exec cat\r")
	must(b, err)
	var seen strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), "begin") {
		n, err := out.Read(buf)
		must(b, err)
		seen.Write(buf[:n])
	}
	<-time.After(300 * time.Millisecond) // cat reads
	in.Write([]byte("~"))
	for !strings.HasSuffix(seen.String(), "~") {
		n, err := out.Read(buf)
		must(b, err)
		seen.Write(buf[:n])
	}
	n := 0
	return func() time.Duration {
		began := time.Now()
		c := 'a' + byte(n%26)
		_, err := in.Write([]byte{c})
		must(b, err)
		if k, err := out.Read(buf); err != nil || k != 1 || buf[0] != c {
			b.Fatalf("typed %q, shown %q: %v", c, buf[:k], err)
		}
		took := time.Since(began)
		if n++; n%1000 == 0 { // the line discipline takes 4095 characters
			in.Write([]byte("\r"))
			for got, want := 0, 1004+b2i(n == 1000); got < want; {
				k, err := out.Read(buf)
				must(b, err)
				got += k
			}
		}
		return took
	}
}

// b2i counts the mark that the first line begins with.
func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func at(d []time.Duration, percent int) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, len(d)*percent/100)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkThroughput has a terminal show text as fast as it can, to the real
// client: directly and through the gateway, in turns.
//
//	go test ./internal/gateway -run '^$' -bench Throughput -benchtime 5x
func BenchmarkThroughput(b *testing.B) {
	r := newRig(b)
	sshd, target := r.host("hv-1")
	_, directKey := r.directKey(sshd)
	g := r.grant(target, gateway.Shell, gateway.Exec)
	key := r.certified(g)
	const size = 64 << 20
	pour := fmt.Sprintf("yes %s | head -c %d", strings.Repeat("0123456789", 7), size)
	terminal := "stty -echo -onlcr; exec sh -c '" + pour + "'\r"
	for _, c := range []struct {
		name string
		args []string
		in   string
	}{
		{"terminal", []string{"-tt"}, terminal},
		{"terminal-aes-gcm", []string{"-tt", "-c", "aes128-gcm@openssh.com"}, terminal},
		{"exec", []string{"--", pour}, ""},
		{"exec-aes-gcm", []string{"-c", "aes128-gcm@openssh.com", "--", pour}, ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			var plain, recorded time.Duration
			for b.Loop() {
				plain += r.pour(directKey, sshd.Address, sshd.Login, c.in, size, c.args)
				recorded += r.pour(key, r.address, "hv-1", c.in, size, c.args)
			}
			rate := func(d time.Duration) float64 { return float64(size) * float64(b.N) / d.Seconds() / 1e6 }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(rate(plain), "direct-MB/s")
			b.ReportMetric(rate(recorded), "gateway-MB/s")
			b.ReportMetric(rate(recorded)/rate(plain), "ratio")
		})
	}
}

// pour runs the real client and returns how long it took to show size bytes.
func (r *rig) pour(key, address, user, in string, size int, args []string) time.Duration {
	host, port, _ := net.SplitHostPort(address)
	full := append([]string{"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}, r.sshArgs(key)...)
	full = append(full, "-p", port, "-l", user)
	cmd := exec.Command("ssh", append(append(append(full, options(args)...), host), rest(args)...)...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.StdoutPipe()
	must(r.t, err)
	cmd.Stderr = os.Stderr
	began := time.Now()
	must(r.t, cmd.Start())
	n, _ := io.Copy(io.Discard, out)
	took := time.Since(began)
	cmd.Wait()
	if n < int64(size) {
		r.t.Fatalf("%d bytes of %d", n, size)
	}
	return took
}

// BenchmarkSessions keeps 200 sessions open at once that all show something
// several times a second, and measures how long a typed character takes in one
// more, how long sealing takes, and that nothing is missing.
//
//	go test ./internal/gateway -run '^$' -bench Sessions -benchtime 1x -timeout 5m
func BenchmarkSessions(b *testing.B) {
	const sessions = 200
	r := newRig(b)
	sshd, target := r.host("hv-1")
	g := r.grant(target, gateway.Shell)
	key := r.certified(g)
	var clients []*ssh.Client
	var mu sync.Mutex
	var opening sync.WaitGroup
	room := make(chan struct{}, 8)
	began := time.Now()
	for range sessions {
		room <- struct{}{}
		opening.Go(func() {
			defer func() { <-room }()
			c, err := r.dial(key, "hv-1")
			must(b, err)
			s, err := c.NewSession()
			must(b, err)
			in, err := s.StdinPipe()
			must(b, err)
			must(b, s.RequestPty("xterm", 24, 80, nil))
			must(b, s.Shell())
			io.WriteString(in, "exec 3<> <(:); while :; do read -t 0.5 -u 3; echo line-$((i=i+1)); done\r")
			mu.Lock()
			clients = append(clients, c)
			mu.Unlock()
		})
	}
	opening.Wait()
	opened := time.Since(began)
	last, err := r.dial(r.certified(r.grant(target, gateway.Shell)), "hv-1")
	must(b, err)
	defer last.Close()
	signer, _ := r.directKey(sshd)
	hostKey, err := gateway.ParseKey(sshd.HostKey)
	must(b, err)
	direct, err := ssh.Dial("tcp", sshd.Address, &ssh.ClientConfig{User: sshd.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(hostKey)})
	must(b, err)
	defer direct.Close()
	typed, plainly := echoing(b, last), echoing(b, direct)
	var took, plain []time.Duration
	for b.Loop() {
		for began := time.Now(); time.Since(began) < 20*time.Second; {
			took = append(took, typed())
			plain = append(plain, plainly())
			<-time.After(20 * time.Millisecond)
		}
	}
	if n := len(r.live(g)); n != sessions {
		b.Errorf("%d sessions are recorded", n)
	}
	lag := r.recorder.Lag()
	for _, c := range clients {
		c.Close()
	}
	for _, rec := range r.recordings(g, sessions) {
		if v, err := r.recorder.Verify(b.Context(), rec); err != nil || v.Fault != "" || rec.State != "complete" {
			b.Fatalf("%+v %+v %v", rec, v, err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(sessions, "sessions")
	b.ReportMetric(opened.Seconds(), "s-to-open")
	b.ReportMetric(ms(at(took, 50)), "echo-p50-ms")
	b.ReportMetric(ms(at(took, 99)), "echo-p99-ms")
	b.ReportMetric(ms(at(plain, 99)), "direct-p99-ms")
	b.ReportMetric(ms(at(took, 50)-at(plain, 50)), "added-p50-ms")
	b.ReportMetric(ms(at(took, 99)-at(plain, 99)), "added-p99-ms")
	b.ReportMetric(ms(lag), "seal-lag-max-ms")
}
