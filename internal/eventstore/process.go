package eventstore

import (
	"flag"
	"fmt"
	"sync"
)

// cacheBytes bounds the caches and in-memory parts of the embedded store.
const cacheBytes = "64MB"

// prepareProcess sets what VictoriaLogs reads from the process-wide flag set of
// the standard library, and has that parsed: the library panics otherwise. No
// other part of the program defines or reads standard flags, and a test binary
// has parsed its own before any test runs, which is left as it is.
var prepareProcess = sync.OnceValue(func() error {
	for name, value := range map[string]string{
		"memory.allowedBytes": cacheBytes,
		// Its warnings quote whole events, which may hold personal data.
		"loggerLevel": "ERROR",
	} {
		if err := flag.Set(name, value); err != nil {
			return fmt.Errorf("event store: set %s: %w", name, err)
		}
	}
	if flag.Parsed() {
		return nil
	}
	if err := flag.CommandLine.Parse(nil); err != nil {
		return fmt.Errorf("event store: parse flags: %w", err)
	}
	return nil
})
