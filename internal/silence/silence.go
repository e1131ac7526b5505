// Package silence keeps libraries quiet while the program is initialized: one
// of the event store's prints what it misses on the machine to standard error
// before main begins, also for commands that never open a store. This is the
// one init of the product, because nothing but an init comes early enough: the
// package needs nothing but log, so Go initializes it before any package that
// needs more.
package silence

import (
	"io"
	"log"
	"os"
)

func init() { log.SetOutput(io.Discard) }

// End lets the standard logger speak again. main calls it first.
func End() { log.SetOutput(os.Stderr) }
