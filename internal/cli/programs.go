package cli

import (
	"context"
	"fmt"
	"runtime"
)

type serverCmd struct {
	Args []string `arg:"" optional:"" help:"See demarc server --help."`
}

type upCmd struct {
	Args []string `arg:"" optional:"" help:"See demarc up --help."`
}

type downCmd struct {
	Args []string `arg:"" optional:"" help:"See demarc down --help."`
}

type witnessCmd struct {
	Args []string `arg:"" optional:"" help:"See demarc witness --help."`
}

// Run runs the server.
func (c *serverCmd) Run(ctx context.Context, s *session) error {
	return s.program(ctx, "server", s.programs.Server, c.Args)
}

// Run runs everything on this machine.
func (c *upCmd) Run(ctx context.Context, s *session) error {
	return s.program(ctx, "up", s.programs.Up, c.Args)
}

// Run ends what up started.
func (c *downCmd) Run(ctx context.Context, s *session) error {
	return s.program(ctx, "down", s.programs.Down, c.Args)
}

// Run runs a witness.
func (c *witnessCmd) Run(ctx context.Context, s *session) error {
	return s.program(ctx, "witness", s.programs.Witness, c.Args)
}

func (s *session) program(ctx context.Context, name string, run Program, args []string) error {
	if run == nil {
		return fmt.Errorf("%s: %w", name, errMissing)
	}
	return run(ctx, args, s.streams)
}

type versionCmd struct{}

// build is the answer of version.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run says which build this is.
func (c *versionCmd) Run(s *session) error {
	b := build{Version: s.version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if s.flags.Output == "table" {
		return s.print(fmt.Sprintf("demarc %s (%s, %s)\n", b.Version, b.Go, b.Platform))
	}
	return printOne(s, b, []column[build]{
		{key: "version", text: func(b build) string { return b.Version }},
		{key: "go", text: func(b build) string { return b.Go }},
		{key: "platform", text: func(b build) string { return b.Platform }},
	})
}
