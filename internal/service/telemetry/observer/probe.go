package observer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFile bounds what is read of one configuration file.
	maxFile = 1 << 20
	// maxEntries bounds how many names of one directory are looked at.
	maxEntries = 20_000
)

// probe gives collectors the machine: its files below root, the output of a
// few commands, and what was parsed before.
type probe struct {
	root   string
	dir    string // for what must outlast a restart; may be empty
	live   bool   // root is "/": the running kernel is the machine's own
	now    func() time.Time
	run    runner
	memory *memory
	missed *missed
}

// missed gathers what one run could not read.
type missed struct {
	mu   sync.Mutex
	gaps []string
}

func newProbe(root string, now func() time.Time) *probe {
	p := &probe{root: filepath.Clean(root), now: now, memory: &memory{}, missed: &missed{}}
	p.live = p.root == "/"
	p.run = noCommands
	if p.live {
		p.run = execute
	}
	return p
}

// forRun returns a probe that shares everything but the gaps.
func (p *probe) forRun() *probe {
	q := *p
	q.missed = &missed{}
	return &q
}

// gap notes a part that could not be read: what, why, and what mends it.
func (p *probe) gap(format string, args ...any) {
	p.missed.mu.Lock()
	defer p.missed.mu.Unlock()
	if s := fmt.Sprintf(format, args...); len(p.missed.gaps) < 20 && !slices.Contains(p.missed.gaps, s) {
		p.missed.gaps = append(p.missed.gaps, s)
	}
}

func (p *probe) gaps() []string {
	p.missed.mu.Lock()
	defer p.missed.mu.Unlock()
	slices.Sort(p.missed.gaps)
	return p.missed.gaps
}

// path returns where the machine's file lies.
func (p *probe) path(name string) string { return filepath.Join(p.root, name) }

// read returns at most maxFile bytes of a regular file. Pipes and devices that
// a user may have put or linked in the file's place are not opened: that alone
// may block, or make a device act.
func (p *probe) read(name string) ([]byte, error) { return p.readUpTo(name, maxFile) }

func (p *probe) readUpTo(name string, limit int64) ([]byte, error) {
	f, info, err := openRegular(p.path(name))
	if errors.Is(err, errIrregular) {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, plain(name, err)
	}
	defer f.Close()
	var buf bytes.Buffer
	buf.Grow(int(min(info.Size(), limit)) + bytes.MinRead) // one allocation, save for /proc
	if _, err := buf.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, plain(name, err)
	}
	b := buf.Bytes()
	if int64(len(b)) > limit {
		p.gap("only the first %d KiB of %s are read", limit>>10, name)
		b = b[:limit]
	}
	return b, nil
}

var errIrregular = errors.New("not a regular file")

// openRegular opens a file only after it is known to be regular: a handle that
// gives no access is looked at first, and then opened for reading through
// /proc, so that nobody can exchange the file in between.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	handle, err := os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errIrregular
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", handle.Fd()), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	return f, info, err
}

// plain words an error of the file system for people who know the machine's
// own paths only.
func plain(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &fileError{name + " may not be read: " + mendDenied(), fs.ErrPermission}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return &fileError{name + " does not exist", fs.ErrNotExist}
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("reading %s: %w", name, pe.Err)
	}
	return fmt.Errorf("reading %s: %w", name, err)
}

// mendDenied says what gives the agent a permission that it lacks.
func mendDenied() string {
	if os.Geteuid() == 0 {
		return "the agent is root, so something confines it (a sandbox, a security module or missing capabilities)"
	}
	return "run the agent as root"
}

type fileError struct {
	text string
	kind error
}

func (e *fileError) Error() string { return e.text }
func (e *fileError) Unwrap() error { return e.kind }

// absent reports whether err says that a file does not exist.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// text returns the trimmed content of a small file, "" if it cannot be read.
func (p *probe) text(name string) string {
	b, err := p.readUpTo(name, 64<<10)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// config returns the content of an optional file. It is "" if the file does
// not exist; any other failure is noted as a gap.
func (p *probe) config(name string) string {
	b, err := p.read(name)
	if err != nil && !absent(err) {
		p.gap("%s", err)
	}
	return string(b)
}

// stat follows links, within what os.Stat can: links of fixture roots are relative.
func (p *probe) stat(name string) (fs.FileInfo, error) { return os.Stat(p.path(name)) }

func (p *probe) exists(name string) bool {
	_, err := p.stat(name)
	return err == nil
}

// anyExists returns the first of the names that exists, or "".
func (p *probe) anyExists(names ...string) string {
	for _, n := range names {
		if p.exists(n) {
			return n
		}
	}
	return ""
}

// list returns the names in a directory, sorted, at most maxEntries.
func (p *probe) list(dir string) ([]string, error) {
	f, err := os.Open(p.path(dir))
	if err != nil {
		return nil, plain(dir, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, plain(dir, err)
	}
	if len(names) == maxEntries && !strings.HasPrefix(dir, "/proc") {
		p.gap("only %d entries of %s are looked at", maxEntries, dir)
	}
	slices.Sort(names)
	return names, nil
}

// glob returns the machine's paths that match a pattern, sorted.
func (p *probe) glob(pattern string) []string {
	matches, _ := filepath.Glob(p.path(pattern))
	out := make([]string, 0, len(matches))
	for _, m := range matches {
		if len(out) == maxEntries {
			p.gap("only %d files of %s are looked at", maxEntries, pattern)
			break
		}
		if p.root != "/" {
			m = strings.TrimPrefix(m, p.root)
		}
		out = append(out, m)
	}
	return out
}

// stamp changes when one of the files or directories does.
func (p *probe) stamp(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		info, err := p.stat(n)
		if err != nil {
			fmt.Fprintf(&b, "%s!;", n)
			continue
		}
		fmt.Fprintf(&b, "%s:%d:%d:%d", n, info.ModTime().UnixNano(), info.Size(), info.Mode())
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(&b, ":%d:%d", st.Ino, st.Ctim.Nano())
		}
		b.WriteByte(';')
	}
	return b.String()
}

// systemd reports whether systemd is the init system, as sd_booted(3) does.
func (p *probe) systemd() bool { return p.exists("/run/systemd/system") }

// lines calls f with the number and text of every line, without blanks around.
func lines(b []byte, f func(n int, line string)) {
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		f(n, strings.TrimSpace(string(line)))
		b = rest
	}
}

// uniq sorts a list and drops doubles.
func uniq[T ~string | ~int](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}
