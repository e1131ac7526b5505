package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/demarc/demarc/api"
)

type loginCmd struct {
	CA     string `name:"ca" help:"PEM file of the certificate authority that the server is trusted by, instead of the machine's." placeholder:"FILE" type:"existingfile"`
	Tenant string `help:"Tenant to use where a command needs one and none is named." placeholder:"NAME"`
	Token  bool   `help:"Ask for a token, instead of having the console confirm."`
}

// Help is shown below the flags.
func (loginCmd) Help() string {
	return `At a terminal, you confirm a code in the console, where you are signed in, and this machine gets a token of twelve hours. With --token, or without a terminal, a token is asked for, or read from standard input, never from the command line.

Examples:
  demarc login --server https://demarc.example:8443
  demarc login --server https://demarc.example:8443 < token-file`
}

// Run tries a server and a token, and keeps them if they work.
func (c *loginCmd) Run(ctx context.Context, s *session) error {
	path, _, err := s.profilePath()
	if err != nil {
		return err
	}
	// A profile that cannot be read is replaced only if it is not there.
	old, err := LoadProfile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p, err := c.ask(ctx, s, old)
	if err != nil {
		return err
	}
	client, err := s.client(p.Server, p.Token, []byte(p.CA))
	if err != nil {
		return err
	}
	who, err := client.Whoami(ctx)
	if err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	if err := p.Save(path); err != nil {
		return err
	}
	if err := printOne(s, who, principalColumns); err != nil {
		return err
	}
	s.note("kept in %s", path)
	return nil
}

func (c *loginCmd) ask(ctx context.Context, s *session, old Profile) (Profile, error) {
	p := Profile{Server: s.namedServer(old), Tenant: c.Tenant}
	_, tty := terminalOf(s.streams.In)
	if p.Server == "" && tty {
		fmt.Fprint(s.streams.Err, "Server (https://host:port): ")
		var err error
		if p.Server, err = readLine(s.streams.In); err != nil {
			return p, fmt.Errorf("reading the server's address: %w", err)
		}
	}
	if p.Server == "" {
		return p, usage("add --server https://host:port", "no server is named")
	}
	if sameServer(p.Server, old.Server) {
		p.CA = old.CA
		if p.Tenant == "" {
			p.Tenant = old.Tenant
		}
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return p, fmt.Errorf("reading the certificate authority: %w", err)
		}
		if _, err := api.NewHTTP(pem); err != nil {
			return p, fmt.Errorf("reading %s: %w", c.CA, err)
		}
		p.CA = string(pem)
	}
	var err error
	if tty && !c.Token {
		client, err := s.client(p.Server, "", []byte(p.CA))
		if err != nil {
			return p, err
		}
		p.Token, err = s.confirmInConsole(ctx, client, nil)
		return p, err
	}
	if tty {
		fmt.Fprint(s.streams.Err, "Token: ")
	}
	if p.Token, err = s.readSecret(); err != nil {
		return p, fmt.Errorf("reading the token: %w", err)
	}
	if p.Token == "" {
		return p, usage("type it when asked, or send it with `demarc login < FILE`", "the token is empty")
	}
	return p, nil
}
