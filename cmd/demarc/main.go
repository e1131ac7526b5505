// Command demarc runs the shared-responsibility contract of a cloud: the
// server, the witness, the offline verifier, and the command line of provider,
// customer and auditor.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/demarc/demarc/internal/cli"
	"github.com/demarc/demarc/internal/role/server"
	"github.com/demarc/demarc/internal/role/up"
	"github.com/demarc/demarc/internal/role/verify"
	"github.com/demarc/demarc/internal/silence"
)

// version is set by the linker.
var version = "development"

func main() {
	silence.End()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, programs(), os.Getenv))
}

func programs() cli.Programs {
	data := dataDir()
	around := func(s cli.Streams) up.Surroundings {
		return up.Surroundings{Version: version, Data: data, Profile: cli.DefaultProfile(os.Getenv), Out: s.Out, Err: s.Err}
	}
	return cli.Programs{
		Version: version,
		Server: func(ctx context.Context, args []string, s cli.Streams) error {
			return server.Main(ctx, version, data, args, s.Out, s.Err)
		},
		Up:   func(ctx context.Context, args []string, s cli.Streams) error { return up.Main(ctx, around(s), args) },
		Down: func(ctx context.Context, args []string, s cli.Streams) error { return up.Down(ctx, around(s), args) },
		Witness: func(ctx context.Context, args []string, s cli.Streams) error {
			return verify.Witness(ctx, data, args, s)
		},
		Verify: func(ctx context.Context, r io.Reader, t cli.Trust) (cli.Verification, error) {
			return verify.Bundle(ctx, r, t)
		},
		Validate: verify.Catalogue,
		Duties:   verify.Duties,
		Approval: verify.Approval,
	}
}

// dataDir is where a server keeps everything unless told otherwise.
func dataDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "demarc")
	}
	if os.Geteuid() == 0 {
		return "/var/lib/demarc"
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "demarc-data"
	}
	return filepath.Join(home, ".local", "state", "demarc")
}
