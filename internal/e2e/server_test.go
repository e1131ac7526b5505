package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
)

// server is one `demarc server` and who may sign in to it.
type server struct {
	t      testing.TB
	data   string
	http   string
	https  string
	bus    string
	args   []string // beyond addresses and data directory
	client *api.Client
	proc   *process
}

// newServer starts a server on a data directory and ports of its own, and ends
// it with the test.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	return newServerOn(t, filepath.Join(t.TempDir(), "data"), args...)
}

func newServerOn(t testing.TB, data string, args ...string) *server {
	t.Helper()
	needPrograms(t)
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, data: data, http: ports[0], https: ports[1], bus: ports[2], args: args}
	s.start()
	t.Cleanup(func() { s.proc.end(t) })
	return s
}

// start starts the server and waits until it is ready. The first start keeps
// the administrator's token in the data directory.
func (s *server) start() {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "demarc"), append([]string{"server", "--data", s.data, "--http", s.http, "--https", s.https, "--bus-listen", s.bus, "--ssh", "127.0.0.1:0"}, s.args...)...)
	s.proc = startProcess(s.t, cmd)
	eventually(s.t, "the server is ready", func() string {
		if s.proc.ended() {
			s.t.Fatalf("the server ended:\n%s", s.proc.output())
		}
		if !strings.Contains(s.proc.output(), "Console: http") {
			return "it printed " + s.proc.output()
		}
		return ""
	})
	if s.client == nil {
		token, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
		if err != nil {
			s.t.Fatal(err)
		}
		s.client = &api.Client{Base: "http://" + s.http, Token: strings.TrimSpace(string(token))}
	}
}

// demarc runs the command line against the server and returns its standard output.
func (s *server) demarc(args ...string) string {
	s.t.Helper()
	out, errOut, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("demarc %s: %v\n%s%s", strings.Join(args, " "), err, out, errOut)
	}
	return out
}

// try runs the command line; it may fail.
func (s *server) try(args ...string) (out, errOut string, err error) {
	cmd := exec.Command(filepath.Join(bin, "demarc"), args...)
	cmd.Env = append(os.Environ(), "DEMARC_SERVER="+s.client.Base, "DEMARC_TOKEN="+s.client.Token, "XDG_CONFIG_HOME="+filepath.Dir(s.data), "COLUMNS=200")
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// ask runs the command line with JSON as its output.
func (s *server) ask(into any, args ...string) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.demarc(append(args, "--output", "json")...)), into); err != nil {
		s.t.Fatalf("demarc %s: %v", strings.Join(args, " "), err)
	}
}

// token makes an enrolment token.
func (s *server) token(tenant, vm string) api.EnrolmentToken {
	s.t.Helper()
	var tok api.EnrolmentToken
	s.ask(&tok, "agent", "enroll-token", "--tenant", tenant, "--vdc", "main", "--vm", vm)
	return tok
}

// tenant makes a tenant of the provider's own hosts, in which the first
// start's credential may do what a customer does, with a VDC "main".
func (s *server) tenant(name string) {
	s.t.Helper()
	s.demarc("tenant", "create", name, "--own")
	s.demarc("vdc", "create", "main", "--tenant", name)
}

// enrol enrols an agent whose state is in dir, for a machine below root.
func (s *server) enrol(tenant, vm, dir, root string) {
	s.t.Helper()
	tok := s.token(tenant, vm)
	cmd := exec.Command(filepath.Join(bin, "demarc-agent"), "enroll", "--server", tok.Server, "--dir", dir, "--root", root)
	cmd.Env = append(os.Environ(), "DEMARC_ENROL_TOKEN="+tok.Token)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("enrol: %v\n%s", err, out)
	}
}

// agent runs the agent whose state is in dir, on the machine below root.
func (s *server) agent(dir, root string) *process {
	s.t.Helper()
	return startProcess(s.t, exec.Command(filepath.Join(bin, "demarc-agent"), "run", "--dir", dir, "--root", root))
}

// verdicts asks how the duties of a tenant stand, by duty; vm may be "".
func (s *server) verdicts(tenant, vm string) map[string]api.Verdict {
	s.t.Helper()
	args := []string{"posture", "--tenant", tenant}
	if vm != "" {
		args = append(args, "--vm", vm)
	}
	var list []api.Verdict
	s.ask(&list, args...)
	out := map[string]api.Verdict{}
	for _, v := range list {
		out[v.Duty] = v
	}
	return out
}

// healthy asks /healthz.
func (s *server) healthy() (code int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/healthz", nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return resp.StatusCode, string(b)
}

// process is a program that runs beside the test.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer // guarded by mu
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // the exit code is in ProcessState
	}()
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process without a warning.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// end ends the process as a service manager does, and fails the test if it
// takes too long.
func (p *process) end(t testing.TB) {
	t.Helper()
	if p.ended() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.kill()
		t.Errorf("%s did not end within %s:\n%s", p.cmd.Path, patience, p.output())
	}
	if t.Failed() {
		t.Logf("%s printed:\n%s", p.cmd.Path, p.output())
	}
}

// eventually waits until check returns "", and fails with what it said last.
func eventually(t testing.TB, what string, check func() string) {
	t.Helper()
	within(t, patience, what, check)
}

func within(t testing.TB, limit time.Duration, what string, check func() string) {
	t.Helper()
	over, tick := time.After(limit), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for {
		lack := check()
		if lack == "" {
			return
		}
		select {
		case <-over:
			t.Fatalf("not within %s: %s:\n%s", limit, what, lack)
		case <-tick.C:
		}
	}
}
