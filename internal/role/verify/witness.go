package verify

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/demarc/demarc/internal/cli"
	"github.com/demarc/demarc/internal/role/server"
	"github.com/demarc/demarc/internal/witness"
)

// Witness is `demarc witness`: it runs a witness until ctx ends.
func Witness(ctx context.Context, data string, args []string, s cli.Streams) error {
	var f struct {
		Dir    string   `help:"Directory of the witness's key and memory. Never restore it from a backup." default:"${data}" type:"path" env:"DEMARC_WITNESS_DIR"`
		Name   string   `help:"Name in its signatures, as witness.example.org/w1." required:""`
		Log    []string `help:"Verifier key of a ledger to watch ('demarc ledger state' shows it); repeatable." required:"" sep:"none"`
		Listen string   `help:"Address to take checkpoints at. Put a TLS proxy before it where it is not the loopback." default:"127.0.0.1:7490"`
	}
	done, err := server.Parse("demarc witness", "Cosign the checkpoints of ledgers that you do not trust (C2SP tlog-witness).", data+"/witness", args, s.Out, &f)
	if done || err != nil {
		return err
	}
	w, err := witness.Open(witness.Config{Dir: f.Dir, Name: f.Name, Logs: f.Log, Logger: slog.New(slog.NewTextHandler(s.Err, nil))})
	if err != nil {
		return err
	}
	defer w.Close()
	l, err := net.Listen("tcp", f.Listen)
	if err != nil {
		return fmt.Errorf("listen at %s: %w; choose another address with --listen", f.Listen, err)
	}
	fmt.Fprintf(s.Out, "Witness at http://%s\nVerifier key: %s\nServer: demarc server --witness 'http://%s %s'\n", l.Addr(), w.VKey(), l.Addr(), w.VKey())
	srv := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	return server.Serve(ctx, srv, l)
}
