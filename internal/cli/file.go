package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// replaceFile writes a file beside path and then puts it in its place, so that
// a failure leaves path as it was. The file is readable by its owner only.
func replaceFile(path string, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// deliver writes a document to the file out, or to standard output if out is
// empty or "-". Binary documents are not written to a terminal.
func (s *session) deliver(out string, binary bool, write func(io.Writer) error) error {
	if out == "" || out == "-" {
		if _, tty := terminalOf(s.streams.Out); tty && binary {
			return usage("add --out FILE, or send it to a file with >", "this document is binary and would garble the terminal")
		}
		return write(s.streams.Out)
	}
	if err := replaceFile(out, func(f *os.File) error { return write(f) }); err != nil {
		return err
	}
	s.note("written to %s", out)
	return nil
}

// sourceLimit bounds a file that is read to be sent, in bytes.
const sourceLimit = 8 << 20

// readSource reads a file to be sent, or standard input if path is "-".
func (s *session) readSource(path string) ([]byte, error) {
	in := s.streams.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, sourceLimit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(raw) > sourceLimit {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, sourceLimit>>20)
	}
	return raw, nil
}
