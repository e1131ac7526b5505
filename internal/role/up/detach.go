package up

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// detach starts this program again, in a session of its own, and shows what
// the child has to show until it is up.
func detach(ctx context.Context, s Surroundings, f Flags, args []string) error {
	if err := os.MkdirAll(f.Data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	logPath := filepath.Join(f.Data, "up.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	rest := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--detach" })
	cmd := exec.Command(self, append([]string{"up"}, rest...)...)
	cmd.Env = append(os.Environ(), readyFD+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("start in the background: %w", err)
	}
	w.Close()
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	n, err := io.Copy(s.Out, r)
	if err != nil {
		return fmt.Errorf("hear from the background: %w", err)
	}
	if running, _ := locked(f.Data); running && n > 0 {
		fmt.Fprintf(s.Out, "\nRuns in the background as process %d; log in %s; end it with 'make down' or 'demarc down'.\n", cmd.Process.Pid, logPath)
		return cmd.Process.Release()
	}
	cmd.Wait()
	tail, _ := os.ReadFile(logPath)
	if int64(len(tail)) > from {
		tail = tail[from:]
	}
	return fmt.Errorf("it did not start:\n%s", tail)
}
