//go:build !unix

package witness

import "os"

// lockDir opens the file at path. There is no lock that ends with the process
// on this system: run one witness on a directory.
func lockDir(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
