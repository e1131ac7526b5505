package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// confirmInConsole has a person confirm this command line in the console, and
// returns the token that it is given. want is the token asked for; nil is one
// of all that the person may do, for twelve hours.
func (s *session) confirmInConsole(ctx context.Context, client *api.Client, want *api.NewToken) (string, error) {
	host, _ := os.Hostname()
	d, err := client.BeginDevice(ctx, api.DeviceSignIn{Client: strings.TrimSpace("demarc " + s.version() + " on " + host), Token: want})
	if err != nil {
		return "", fmt.Errorf("asking to be signed in: %w", err)
	}
	fmt.Fprintf(s.streams.Err, "Open this in a browser where you are signed in, and confirm the code:\n\n  %s\n  %s\n\nWaiting until %s ...\n", clean(d.URL), clean(d.Code), clockOf(&d.Expires))
	every := max(time.Second, min(time.Duration(d.Interval)*time.Second, time.Minute))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-tick.C:
		}
		t, err := client.PollDevice(ctx, api.DeviceQuestion{Device: d.Device})
		if err != nil {
			return "", fmt.Errorf("waiting to be confirmed: %w", err)
		}
		if t.Token != "" {
			return t.Token, nil
		}
	}
}

type logoutCmd struct{}

// Help is shown below the flags.
func (logoutCmd) Help() string {
	return `Ends the token of the profile, if it is one of yours, and forgets it here. A token of a service is only forgotten.`
}

// Run forgets the token of the profile.
func (c *logoutCmd) Run(ctx context.Context, s *session) error {
	path, _, err := s.profilePath()
	if err != nil {
		return err
	}
	p, err := LoadProfile(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && p.Token == "" && p.TokenFile == "") {
		s.note("Nobody is signed in here.")
		return nil
	}
	if err != nil {
		return err
	}
	if id := personalToken(p.Token); id != "" {
		client, err := s.client(p.Server, p.Token, []byte(p.CA))
		if err != nil {
			return err
		}
		_, err = client.RevokeToken(ctx, id)
		var refused *api.Problem
		if err != nil && !(errors.As(err, &refused) && refused.Status == http.StatusUnauthorized) { // it has ended already
			return fmt.Errorf("ending the token: %w", err)
		}
	}
	p.Token, p.TokenFile = "", ""
	if err := p.Save(path); err != nil {
		return err
	}
	s.note("Signed out of %s.", p.Server)
	return nil
}

// personalToken is the id of a person's token; empty if the token is none.
func personalToken(token string) string {
	rest, ok := strings.CutPrefix(token, "dmp_")
	id, _, whole := strings.Cut(rest, "_")
	if !ok || !whole {
		return ""
	}
	return "k-" + id
}
