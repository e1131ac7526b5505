// Command demarc-agent runs on a customer's VM or a provider's host: it observes
// the machine and tells the server.
//
// It exits with 0 when all is well, 1 when what was asked failed, and 2 when
// what was asked is not understood.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/demarc/demarc/internal/role/agent"
)

// version is set by the linker.
var version = "development"

func main() {
	os.Exit(run(os.Args[1:], agent.Program{Version: version, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}))
}

func run(args []string, p agent.Program) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cmds agent.Commands
	exited := -1
	parser, err := kong.New(&cmds, kong.Name("demarc-agent"), kong.Description("The agent of demarc: observes this machine and tells the server."),
		kong.UsageOnError(), kong.Writers(p.Stdout, p.Stderr), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(p))
	if err != nil {
		fmt.Fprintln(p.Stderr, "demarc-agent:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited // help was printed
	}
	if parseErr := (*kong.ParseError)(nil); errors.As(err, &parseErr) {
		fmt.Fprintf(p.Stderr, "demarc-agent: %v\nTry: demarc-agent --help\n", err)
		return 2
	}
	if err == nil {
		err = k.Run()
	}
	if err != nil {
		fmt.Fprintln(p.Stderr, "demarc-agent:", err)
		return 1
	}
	return 0
}
