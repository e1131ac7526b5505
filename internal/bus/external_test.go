package bus_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
)

// natsDir is where the server program of this test run lies.
var natsDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "nats-server-") })

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := natsDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// natsBinary builds nats-server once per test run, from the module in go.mod.
var natsBinary = sync.OnceValues(func() (string, error) {
	dir, err := natsDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "nats-server")
	cmd := exec.Command("go", "build", "-o", out, "github.com/nats-io/nats-server/v2")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return out, cmd.Run()
})

// external is a nats-server process that runs with ServerConfig's text.
type external struct {
	t   testing.TB
	ca  *bustest.Authority
	cfg bus.Config
	bin string
	cmd *exec.Cmd
	dir string
	url string
}

func newExternal(t testing.TB, ca *bustest.Authority) *external {
	t.Helper()
	bin, err := natsBinary()
	if err != nil {
		t.Skipf("nats-server cannot be built here: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	e := &external{t: t, ca: ca, bin: bin, dir: t.TempDir(), url: "tls://" + addr}
	e.cfg = bustest.Config(t, ca)
	e.cfg.Dir, e.cfg.Listen, e.cfg.TLS = "", "", nil
	e.cfg.URLs, e.cfg.ClientTLS = []string{e.url}, ca.ClientTLS()
	write := func(name string, b []byte) string {
		path := filepath.Join(e.dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text, err := bus.ServerConfig(t.Context(), e.cfg.Secrets, bus.ServerOptions{Name: "outside", Listen: addr, StoreDir: filepath.Join(e.dir, "store"),
		CertFile: write("cert.pem", ca.CertPEM), KeyFile: write("key.pem", ca.KeyPEM), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	write("nats.conf", []byte(text))
	e.restart()
	t.Cleanup(e.kill)
	return e
}

func (e *external) config() bus.Config { return e.cfg }

func (e *external) kill() {
	e.cmd.Process.Kill()
	e.cmd.Wait()
}

func (e *external) restart() {
	e.t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.cmd = exec.Command(e.bin, "-c", filepath.Join(e.dir, "nats.conf"))
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		c, err := net.Dial("tcp", e.url[len("tls://"):])
		if err == nil {
			c.Close()
			tick.Stop()
			return
		}
		select {
		case <-ctx.Done():
			b, _ := os.ReadFile(filepath.Join(e.dir, "log"))
			e.t.Fatalf("nats-server does not come up:\n%s", b)
		case <-tick.C:
		}
	}
}

// everyBus runs a test against the embedded server and against an external one.
func everyBus(t *testing.T, test func(t *testing.T, ca *bustest.Authority, cfg bus.Config)) {
	t.Run("embedded", func(t *testing.T) {
		ca := bustest.NewAuthority(t)
		test(t, ca, bustest.Config(t, ca))
	})
	t.Run("external", func(t *testing.T) {
		ca := bustest.NewAuthority(t)
		test(t, ca, newExternal(t, ca).config())
	})
}
