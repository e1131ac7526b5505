package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/demarc/demarc/api/cast"
)

type sessionReplayCmd struct {
	Speed float64       `default:"1" help:"How many times as fast; 1 if left out." placeholder:"N"`
	Pause time.Duration `default:"2s" help:"Longest pause between events; 2s if left out." placeholder:"TIME"`
	oneSession
}

// Help is shown below the flags.
func (sessionReplayCmd) Help() string {
	return `What could harm your terminal, such as a change of its title or clipboard, is left out. Where the output is no terminal, the session is written without its pauses. The viewing is recorded in the ledger.

Example:
  demarc session replay rec-01h... --tenant acme --speed 4`
}

// Run replays a session.
func (c *sessionReplayCmd) Run(ctx context.Context, s *session) error {
	if c.Speed <= 0 || c.Speed > 1000 || c.Pause < 0 {
		return usage("write --speed 4", "the speed must be above 0 and at most 1000")
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, to := io.Pipe()
	go func() { to.CloseWithError(client.SessionCast(ctx, to, tenant, c.ID, true)) }()
	err = s.play(ctx, from, c.Speed, c.Pause)
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("replaying session %s of tenant %s: %w", c.ID, tenant, err)
	}
	return nil
}

// play shows a recording. What comes is made harmless here too: the server is
// another machine than the terminal's.
func (s *session) play(ctx context.Context, from io.Reader, speed float64, longest time.Duration) error {
	r, err := cast.NewReader(from)
	if err != nil {
		return err
	}
	_, timed := terminalOf(s.streams.Out)
	out := bufio.NewWriter(s.streams.Out)
	if timed {
		s.note("%s, %d by %d; Ctrl-C ends the replay", clean(r.Title), r.Width, r.Height)
		defer func() {
			// Whatever the session left behind: colours, cursor, screen.
			io.WriteString(out, "\x1b[0m\x1b(B\x1b[r\x1b[?1049l\x1b[?25h\r\n")
			out.Flush()
		}()
	}
	var safe cast.Safe
	var now time.Duration
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		if timed {
			if err := pause(ctx, min(longest, time.Duration(float64(e.Time-now)/speed))); err != nil {
				return err
			}
		}
		now = max(now, e.Time)
		switch e.Code {
		case cast.Output:
			_, err = out.Write(safe.Append(nil, e.Data))
		case cast.Marker:
			_, err = fmt.Fprintf(out, "\r\n[%s]\r\n", clean(e.Data))
		}
		if err == nil && timed {
			err = out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
