package server

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/store"
)

// printBusConfig prints the configuration of an external NATS server for this
// installation's keys.
func printBusConfig(ctx context.Context, f Flags, out io.Writer) error {
	cfg := f.Config("", io.Discard)
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	unlock, err := lockDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	keys, err := keyring.Open(filepath.Join(cfg.DataDir, "master.key"))
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, cfg.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	text, err := bus.ServerConfig(ctx, secrets{s, keys}, bus.ServerOptions{Listen: f.BusConfig, StoreDir: "/var/lib/nats", CertFile: "/etc/nats/tls.crt", KeyFile: "/etc/nats/tls.key", SyncAlways: true})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(out, text)
	return err
}
