package e2e

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// namespaceVariable marks the process that runs in a network namespace.
const namespaceVariable = "DEMARC_E2E_NAMESPACE"

// inNamespace runs another test of this program in a network namespace of its
// own, which ends with it. Only root can make one.
func inNamespace(t *testing.T, child string, tools ...string) {
	t.Helper()
	needPrograms(t)
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+child+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceVariable+"=1", binVariable+"="+bin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), strings.Contains(string(out), "cannot be set up"):
		t.Skip("this machine does not let the test make a network namespace")
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
}
