// Package agent puts the agent program together: its commands, the observers
// that it runs, and the limits that it sets itself.
package agent

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/demarc/demarc/internal/agent"
	agentall "github.com/demarc/demarc/internal/service/all/agent"
)

// Program is the program's surroundings.
type Program struct {
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
}

// Software is how the agent names itself to the server.
func (p Program) Software() string { return "demarc-agent/" + p.Version }

// Run runs the agent until ctx ends.
func (p Program) Run(ctx context.Context, dir, root string, spoolBytes int64, debugLog bool) error {
	p.limitMemory()
	level := slog.LevelInfo
	if debugLog {
		level = slog.LevelDebug
	}
	return agent.Run(ctx, agent.Config{
		Dir: dir, Root: root, SpoolBytes: spoolBytes, Software: p.Software(), Observers: agentall.Observers(),
		Log: slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: level})),
	})
}

// limitMemory keeps the agent small on machines that belong to others, unless
// the environment says otherwise.
func (p Program) limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(32 << 20)
	}
}
