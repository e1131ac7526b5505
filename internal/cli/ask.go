package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// consent is the flag of a command that cannot be undone.
type consent struct {
	Yes bool `short:"y" help:"Do not ask."`
}

// confirm asks before something that cannot be undone. Without a terminal to
// ask at, only --yes consents.
func (s *session) confirm(c consent, format string, args ...any) error {
	if c.Yes {
		return nil
	}
	question := clean(fmt.Sprintf(format, args...))
	if _, tty := terminalOf(s.streams.In); !tty {
		return usage("add --yes if you mean it", "%s There is no terminal to ask at", question)
	}
	fmt.Fprintf(s.streams.Err, "%s [y/N] ", question)
	answer, err := readLine(s.streams.In)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return errors.New("not done, as you wished")
	}
	return nil
}

// readLine reads one line of at most 4096 bytes, byte by byte, so that what
// follows it stays in the stream.
func readLine(in io.Reader) (string, error) {
	var line []byte
	var one [1]byte
	for len(line) < 4096 {
		n, err := in.Read(one[:])
		if n == 1 {
			if one[0] == '\n' {
				break
			}
			line = append(line, one[0])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return strings.TrimSpace(string(line)), nil
}
