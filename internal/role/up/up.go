// Package up runs everything on one machine: the server, and the agent that
// enrols the machine itself as the first VM.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/role/server"
)

// Flags are the command line of `demarc up`.
type Flags struct {
	server.Flags
	Agent   string `help:"The agent's program; the one beside this program if not given." type:"path"`
	Tenant  string `help:"Tenant to enrol this machine for; made if it is not there." default:"local"`
	VDC     string `name:"vdc" help:"VDC to enrol this machine in; made if it is not there." default:"main"`
	Detach  bool   `help:"Run in the background; ended by 'demarc down'."`
	Profile string `help:"Client profile to write." type:"path" env:"DEMARC_PROFILE"`
}

// Surroundings are what Main runs in.
type Surroundings struct {
	Version string
	// Data is the default data directory, Profile the default client profile.
	Data, Profile string
	Out, Err      io.Writer
}

// readyFD is where a detached child tells what it has to show.
const readyFD = "DEMARC_READY_FD"

// Main is `demarc up`.
func Main(ctx context.Context, s Surroundings, args []string) error {
	var f Flags
	done, err := server.Parse("demarc up", "Run everything on this machine and enrol the machine itself.", s.Data, args, s.Out, &f)
	if done || err != nil {
		return err
	}
	if f.Profile == "" {
		f.Profile = s.Profile
	}
	if f.Detach {
		return detach(ctx, s, f, args)
	}
	out := s.Out
	if fd, err := strconv.Atoi(os.Getenv(readyFD)); err == nil {
		// The agent must not inherit it: whoever started us waits for its end.
		syscall.CloseOnExec(fd)
		out = os.NewFile(uintptr(fd), "ready")
	}
	server.LimitMemory()
	return run(ctx, s, f, out)
}

// run runs server and agent until ctx ends or one of them fails.
func run(ctx context.Context, s Surroundings, f Flags, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cfg := f.Config(s.Version, s.Err)
	started := make(chan server.Started, 1)
	cfg.Ready = func(st server.Started) { started <- st }
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, cfg) }()
	begun := time.Now()
	select {
	case err := <-ended:
		return err
	case st := <-started:
		m := &machine{flags: f, out: out, errOut: s.Err, started: st, begun: begun}
		if err := m.bring(ctx); err != nil {
			cancel(err)
			return errors.Join(err, <-ended)
		}
		agent := make(chan error, 1)
		go func() { agent <- m.watchAgent(ctx) }()
		m.show(ctx)
		if pipe, ok := out.(*os.File); ok && os.Getenv(readyFD) != "" {
			pipe.Close()
		}
		err := <-ended
		cancel(nil)
		return errors.Join(err, <-agent)
	}
}

// machine is this machine while it is brought under watch.
type machine struct {
	flags       Flags
	out, errOut io.Writer
	started     server.Started
	begun       time.Time
	client      *api.Client
	vm          string
}

func (m *machine) dir(name string) string { return filepath.Join(m.flags.Data, name) }

// bring signs the administrator in and enrols the machine.
func (m *machine) bring(ctx context.Context) error {
	if err := os.WriteFile(m.dir("up.pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the process id: %w", err)
	}
	token, err := m.token()
	if err != nil {
		return err
	}
	m.client = &api.Client{Base: m.started.URL, Token: token}
	if err := m.saveProfile(); err != nil {
		fmt.Fprintf(m.errOut, "demarc up: the client profile is not written: %v\n", err)
	}
	fmt.Fprintf(m.out, "Console   %s\n", m.started.URL)
	if m.started.FirstToken != "" {
		fmt.Fprintf(m.out, "The first administrator joins here, within seven days; the link is shown once:\n\n  %s\n\n", m.started.JoinLink)
		fmt.Fprintf(m.out, "Until then this token sets the installation up; it is kept for this user's command line:\n\n  %s\n\n", m.started.FirstToken)
	}
	return m.enrol(ctx)
}

// token returns the administrator's token, which the first start has kept.
func (m *machine) token() (string, error) {
	if m.started.FirstToken != "" {
		return m.started.FirstToken, nil
	}
	raw, err := os.ReadFile(m.dir(server.TokenFile))
	if err != nil {
		return "", fmt.Errorf("the administrator's token of this data directory: %w; put a token there, or begin anew with another --data", err)
	}
	return string(trim(raw)), nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}

// Down ends what `demarc up` started on a data directory.
func Down(ctx context.Context, s Surroundings, args []string) error {
	var f struct {
		Data string `help:"Data directory." default:"${data}" type:"path" env:"DEMARC_DATA"`
	}
	done, err := server.Parse("demarc down", "End what 'demarc up' started.", s.Data, args, s.Out, &f)
	if done || err != nil {
		return err
	}
	running, err := locked(f.Data)
	if err != nil || !running {
		fmt.Fprintln(s.Out, "Nothing runs on", f.Data)
		return err
	}
	raw, err := os.ReadFile(filepath.Join(f.Data, "up.pid"))
	if err != nil {
		return fmt.Errorf("a server runs on %s, but 'demarc up' did not start it; end it where it was started", f.Data)
	}
	pid, err := strconv.Atoi(string(trim(raw)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("%s is damaged; end the server by hand", filepath.Join(f.Data, "up.pid"))
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); ; {
		if running, _ := locked(f.Data); !running {
			fmt.Fprintln(s.Out, "Ended.")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("process %d has not ended within 30 seconds", pid)
		case <-tick.C:
		}
	}
}

// locked reports whether a server runs on the data directory.
func locked(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK), nil
}
