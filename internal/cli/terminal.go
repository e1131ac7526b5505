package cli

import (
	"os"
	"strconv"

	"golang.org/x/term"
)

const (
	defaultWidth = 100
	leastWidth   = 40
	mostWidth    = 400
)

// terminalOf returns the descriptor of a stream that is a terminal.
func terminalOf(stream any) (fd int, ok bool) {
	f, ok := stream.(interface{ Fd() uintptr })
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// width is how many columns a table may take: the terminal's, else COLUMNS,
// else 100.
func (s *session) width() int {
	width := defaultWidth
	if n, err := strconv.Atoi(s.env("COLUMNS")); err == nil && n > 0 {
		width = n
	}
	if fd, ok := terminalOf(s.streams.Out); ok {
		if n, _, err := term.GetSize(fd); err == nil && n > 0 {
			width = n
		}
	}
	return max(leastWidth, min(width, mostWidth))
}

// colour reports whether standard output takes colours (no-color.org).
func (s *session) colour() bool {
	_, tty := terminalOf(s.streams.Out)
	return tty && !s.flags.NoColor && s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"
}

// readSecret reads one line, without echo where the input is a terminal.
func (s *session) readSecret() (string, error) {
	if fd, ok := terminalOf(s.streams.In); ok {
		secret, err := term.ReadPassword(fd)
		_, _ = s.streams.Err.Write([]byte("\n"))
		return string(secret), err
	}
	return readLine(s.streams.In)
}

// hue is the colour of a text, as the number of ANSI's "select graphic
// rendition" (ECMA-48, 8.3.117).
type hue int

const (
	plain  hue = 0
	bold   hue = 1
	faint  hue = 2
	red    hue = 31
	green  hue = 32
	yellow hue = 33
	cyan   hue = 36
)

func (h hue) paint(text string, colour bool) string {
	if !colour || h == plain || text == "" {
		return text
	}
	return "\x1b[" + strconv.Itoa(int(h)) + "m" + text + "\x1b[0m"
}

var _ interface{ Fd() uintptr } = (*os.File)(nil)
