package observer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// runner runs a listing command and returns its standard output. A command
// that does not exist gives errNoCommand.
type runner func(ctx context.Context, name string, args ...string) ([]byte, error)

// errNoCommand is wrapped when a command is not installed.
var errNoCommand = errors.New("the command is not installed")

const (
	maxOutput = 16 << 20
	// niceness keeps commands out of the way of the machine's own work.
	niceness = 5
	// searchPath is where commands are looked for; the agent's own PATH is not trusted.
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// noCommands stands in where root is not "/": a command would speak of another machine.
func noCommands(context.Context, string, ...string) ([]byte, error) { return nil, errNoCommand }

// execute runs a command with a small, fixed environment, low priority and
// bounded output. When ctx ends, the command and its children are killed.
func execute(ctx context.Context, name string, args ...string) ([]byte, error) {
	path := lookPath(name)
	if path == "" {
		return nil, fmt.Errorf("%s: %w", name, errNoCommand)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + searchPath, "HOME=/root", "TERM=dumb", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out, errs limited
	out.limit, errs.limit = maxOutput, 4<<10
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	// Best effort: without it the command merely competes as an equal.
	_ = syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, niceness)
	err := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not end in time: %w", name, ctx.Err())
	case err != nil:
		first, _, _ := strings.Cut(strings.TrimSpace(errs.buf.String()), "\n")
		return out.buf.Bytes(), fmt.Errorf("%s: %w (%s)", name, err, clean(first))
	case out.over:
		return nil, fmt.Errorf("%s printed more than %d MiB", name, maxOutput>>20)
	}
	return out.buf.Bytes(), nil
}

func lookPath(name string) string {
	for dir := range strings.SplitSeq(searchPath, ":") {
		path := dir + "/" + name
		if syscall.Access(path, 1 /* X_OK */) == nil {
			return path
		}
	}
	return ""
}

// limited keeps the first bytes written to it and swallows the rest.
type limited struct {
	buf   bytes.Buffer
	limit int
	over  bool
}

func (l *limited) Write(b []byte) (int, error) {
	n := len(b)
	if room := l.limit - l.buf.Len(); len(b) > room {
		b, l.over = b[:max(room, 0)], true
	}
	l.buf.Write(b)
	return n, nil
}
