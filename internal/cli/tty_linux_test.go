package cli

import (
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal of a width; what is written to tty is read
// from screen.
func terminal(t *testing.T, width uint16) (tty, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}); err != nil {
		t.Fatal(err)
	}
	return tty, screen
}

// At a terminal, a table takes its width and its verdicts their colours, which
// NO_COLOR, TERM=dumb and --no-color turn off.
func TestTerminal(t *testing.T) {
	web := httptest.NewServer(newFake())
	defer web.Close()
	for _, tt := range []struct {
		name   string
		env    map[string]string
		args   []string
		colour bool
	}{
		{"colour", nil, nil, true},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1"}, nil, false},
		{"dumb", map[string]string{"TERM": "dumb"}, nil, false},
		{"flag", nil, []string{"--no-color"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tty, screen := terminal(t, 90)
			env := func(name string) string {
				switch name {
				case "DEMARC_SERVER":
					return web.URL
				case "DEMARC_TOKEN":
					return "good-token"
				case "COLUMNS":
					return "200" // the terminal's own width counts more
				}
				return tt.env[name]
			}
			var errs strings.Builder
			s := &session{streams: Streams{In: tty, Out: tty, Err: &errs}, env: env, now: func() time.Time { return instant }}
			shown := make(chan string)
			go func() {
				raw, _ := io.ReadAll(screen) // ends with EIO when the tty is closed
				shown <- string(raw)
			}()
			if code := s.run(t.Context(), append([]string{"posture"}, tt.args...)); code != ExitOK {
				t.Errorf("exit %d: %s", code, errs.String())
			}
			tty.Close()
			out := <-shown
			if got := strings.Contains(out, "\x1b[31m✗ not met\x1b[0m"); got != tt.colour {
				t.Errorf("colour %v in %q", got, out)
			}
			if !tt.colour && strings.Contains(out, "\x1b") {
				t.Errorf("escapes in %q", out)
			}
			widest := 0
			for line := range strings.Lines(out) {
				if !tt.colour {
					widest = max(widest, uniseg.StringWidth(strings.TrimRight(line, "\r\n")))
				}
			}
			if widest > 90 || (!tt.colour && widest < 80) {
				t.Errorf("the widest line has %d columns of 90", widest)
			}
		})
	}
}

// A document that is not text is not written to a terminal.
func TestBinaryIsKeptFromTerminal(t *testing.T) {
	web := httptest.NewServer(newFake())
	defer web.Close()
	tty, screen := terminal(t, 80)
	go func() { _, _ = io.Copy(io.Discard, screen) }()
	defer tty.Close()
	var errs strings.Builder
	code := Run(t.Context(), []string{"ledger", "bundle", "--server", web.URL}, Streams{In: tty, Out: tty, Err: &errs}, Programs{},
		func(name string) string { return map[string]string{"DEMARC_TOKEN": "good-token"}[name] })
	if code != ExitUsage || !strings.Contains(errs.String(), "garble the terminal") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
