// Package cli is demarc's command line for provider, customer and auditor. It
// speaks to a server through package api only; what runs without one (the
// server itself, the witness, offline verification) is given to it as
// functions, so that this package stays free of the server's packages.
package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"github.com/demarc/demarc/api"
)

// Exit codes of Run. They are part of the interface to scripts.
const (
	ExitOK           = 0
	ExitFailure      = 1 // the server refused, could not be reached, or a file could not be read or written
	ExitUsage        = 2 // the command line is wrong
	ExitVerification = 3 // a ledger or a bundle does not verify
	ExitDuties       = 4 // posture --fail-on found such duties
)

// Streams are the standard streams. Out and In are taken for a terminal if they
// have an Fd method and that descriptor is one, as an *os.File of a terminal has.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Program is a verb that runs in this process without a server. It gets what
// follows its name on the command line and blocks until it is done or ctx ends.
// An error with a method ExitCode() int sets the exit code.
type Program func(ctx context.Context, args []string, streams Streams) error

// Trust is what a bundle is verified against.
type Trust struct {
	// Keys are verifier keys of the ledger (C2SP signed-note). If it is empty,
	// the keys in the bundle are used, which proves only that it is whole.
	Keys []string
	// Witnesses are verifier keys; the checkpoint must bear a cosignature of
	// each of them.
	Witnesses []string
}

// Verification is what a verified bundle proves.
type Verification struct {
	Origin    string    `json:"origin"`
	Tenant    string    `json:"tenant,omitempty"`
	TreeSize  int64     `json:"tree_size"`
	Entries   int64     `json:"entries"`
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	Keys      []string  `json:"keys"`
	Witnesses []string  `json:"witnesses"`
	// Trusted says whether the caller's keys were used, and not the bundle's.
	Trusted bool `json:"trusted"`
	// Proven and NotProven are sentences that say what the bundle shows and what not.
	Proven    []string `json:"proven"`
	NotProven []string `json:"not_proven"`
}

// Programs are the parts that main gives in. A missing one makes its verb say
// that this build does not have it.
type Programs struct {
	// Version of the build, for `demarc version` and the User-Agent.
	Version                   string
	Server, Up, Down, Witness Program
	// Verify reads a whole bundle; any error means that it does not verify.
	Verify func(ctx context.Context, bundle io.Reader, trust Trust) (Verification, error)
	// Validate compiles a catalogue; a bad one gives an *api.Problem whose
	// errors name file, line and column.
	Validate func(ctx context.Context, in api.CatalogueSource) (api.Catalogue, error)
	// Duties are those of the built-in catalogue, for `demarc catalog` where no
	// server answers.
	Duties func() ([]api.Duty, error)
	// Approval verifies what proves that a grant of a holder was approved; any
	// error means that it does not.
	Approval func(grant, holder string, proof api.AuditApproval) error
}

// Run runs one command line, without the program's name, and returns the exit
// code. It reads the environment through env only, and ends early when ctx
// does. The whole of main is:
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//		defer stop()
//		os.Exit(cli.Run(ctx, os.Args[1:],
//			cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
//			cli.Programs{
//				Version:  version,
//				Server:   server.Main,
//				Up:       up.Main,
//				Witness:  witness.Main,
//				Verify:   verifyBundle,
//				Validate: validateCatalogue,
//			}, os.Getenv))
//	}
func Run(ctx context.Context, args []string, streams Streams, programs Programs, env func(string) string) (exit int) {
	s := &session{streams: streams, programs: programs, env: env, now: time.Now}
	return s.run(ctx, args)
}

// session is one command line being run.
type session struct {
	streams  Streams
	programs Programs
	env      func(string) string
	now      func() time.Time
	flags    *globals
}

func (s *session) run(ctx context.Context, args []string) int {
	var line commands
	s.flags = &line.globals
	helped := false
	parser, err := newParser(&line, s.streams, func(int) { helped = true })
	if err != nil {
		return s.report(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if helped {
		return ExitOK
	}
	if err != nil {
		return s.report(err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return s.report(parsed.Run(s))
}

func newParser(line *commands, streams Streams, exit func(int)) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("demarc"),
		kong.Description(description),
		kong.Writers(streams.Out, streams.Err),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "contract", Title: "The contract:"},
			{Key: "estate", Title: "The estate:"},
			{Key: "audit", Title: "Audit:"},
			{Key: "programs", Title: "Programs:"},
			{Key: "client", Title: "This client:"},
			{Key: "every", Title: "Flags of every command:"},
		}),
	)
}

// errMissing is the error of a verb whose part was not given in.
var errMissing = errors.New("this build of demarc does not have it")
