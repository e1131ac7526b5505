package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// jailVariable names the directory that this program, started anew by inJail,
// makes its root before it lets another take its place.
const jailVariable = "DEMARC_E2E_JAIL"

// jailed enters the jail if this process was started for one. It returns only
// if it was not.
func jailed() bool {
	root := os.Getenv(jailVariable)
	if root == "" {
		return false
	}
	err := enterJail(root, os.Args[1:])
	fmt.Fprintln(os.Stderr, "jail:", err)
	os.Exit(1)
	return true
}

func enterJail(root string, args []string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	// The made-up /proc needs the true one for the file descriptors of the agent.
	real := filepath.Join(root, "realproc")
	if err := os.MkdirAll(real, 0o555); err != nil {
		return err
	}
	if err := syscall.Mount("proc", real, "proc", syscall.MS_RDONLY, ""); err != nil {
		if err := syscall.Mount("/proc", real, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("show /proc: %w", err)
		}
	}
	if err := syscall.Chroot(root); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	os.Unsetenv(jailVariable)
	return syscall.Exec(args[0], args, os.Environ())
}

// inJail makes a command that sees root as the whole machine. Only root can;
// mounts and root directory are the process's own.
func inJail(t testing.TB, root string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to give the agent a machine of its own (mount namespace, chroot)")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), jailVariable+"="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd
}
