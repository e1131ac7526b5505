package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/store/storetest"
)

// TestOutgrown runs a user's first five minutes on a PostgreSQL and on a
// nats-server that run beside demarc.
func TestOutgrown(t *testing.T) {
	needPrograms(t)
	run := func(t *testing.T, env map[string]string, prepare func(*testscript.Env) error) {
		testscript.Run(t, testscript.Params{
			Files: []string{"testdata/script/first-minutes.txtar"}, Cmds: commands, RequireExplicitExec: true,
			Setup: func(e *testscript.Env) error {
				if err := setup(env)(e); err != nil {
					return err
				}
				return prepare(e)
			},
		})
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, map[string]string{"DEMARC_STORE": storetest.Postgres(t)}, func(*testscript.Env) error { return nil })
	})
	t.Run("nats and postgres", func(t *testing.T) {
		t.Parallel()
		dsn, nats := storetest.Postgres(t), natsServer(t)
		run(t, map[string]string{"DEMARC_STORE": dsn}, func(e *testscript.Env) error { return externalBus(t, e, nats) })
	})
}

// natsServer builds nats-server of the version that demarc embeds.
func natsServer(t *testing.T) string {
	t.Helper()
	nats := filepath.Join(bin, "nats-server")
	build := exec.Command("go", "build", "-o", nats, "github.com/nats-io/nats-server/v2")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("nats-server cannot be built here: %v\n%s", err, out)
	}
	return nats
}

// externalBus runs a nats-server with the configuration that `demarc server
// --bus-config` prints, and lets the script's server use it.
func externalBus(t *testing.T, e *testscript.Env, nats string) error {
	dir, err := os.MkdirTemp(e.WorkDir, "nats-")
	if err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	print := exec.Command(filepath.Join(bin, "demarc"), "server", "--bus-config", ports[0])
	print.Env = e.Vars
	config, err := print.Output()
	if err != nil {
		return fmt.Errorf("--bus-config: %w", err)
	}
	ca := bustest.NewAuthority(t)
	paths := strings.NewReplacer("/var/lib/nats", filepath.Join(dir, "store"), "/etc/nats/tls.crt", filepath.Join(dir, "cert.pem"), "/etc/nats/tls.key", filepath.Join(dir, "key.pem"))
	for name, content := range map[string][]byte{"nats.conf": []byte(paths.Replace(string(config))), "ca.pem": ca.PEM, "cert.pem": ca.CertPEM, "key.pem": ca.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	p := startProcess(t, exec.Command(nats, "-c", filepath.Join(dir, "nats.conf")))
	e.Defer(func() { p.end(t) })
	eventually(t, "nats-server answers", func() string {
		c, err := net.Dial("tcp", ports[0])
		if err != nil {
			return p.output() + err.Error()
		}
		c.Close()
		return ""
	})
	e.Setenv("DEMARC_BUS", "tls://"+ports[0])
	e.Setenv("DEMARC_BUS_CA", filepath.Join(dir, "ca.pem"))
	return nil
}
