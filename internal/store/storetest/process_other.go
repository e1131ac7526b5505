//go:build unix && !linux

package storetest

import (
	"os"
	"syscall"
	"testing"
)

// postgresUser returns whom the server runs as: the tester, who must not be root.
func postgresUser(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("PostgreSQL does not run as root")
	}
	return nil
}

// attributes of the child: none.
func attributes(*syscall.Credential) *syscall.SysProcAttr { return nil }
