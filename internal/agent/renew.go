package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/wire"
)

// Pauses between attempts at renewal.
const (
	renewFirstPause   = 10 * time.Second
	renewLongestPause = 10 * time.Minute
	renewRefusedPause = time.Hour
)

// credentials hold the present identity and renew it.
type credentials struct {
	dir string
	log *slog.Logger
	// changed is told of every change of the fault.
	changed func()

	mu    sync.Mutex // guards what follows
	id    Identity
	fault string        // why the last renewal failed
	moved chan struct{} // closed and replaced when addresses or authority change

	kick chan struct{} // asks for a renewal now
}

func newCredentials(dir string, id Identity, log *slog.Logger, changed func()) *credentials {
	return &credentials{dir: dir, id: id, log: log, changed: changed, moved: make(chan struct{}), kick: make(chan struct{}, 1)}
}

// get returns the identity and a channel that closes when the agent must
// connect elsewhere.
func (c *credentials) get() (Identity, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id, c.moved
}

func (c *credentials) faultNow() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// refused is told when the bus does not accept the JWT.
func (c *credentials) refused() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// run renews at about half of the JWT's life until ctx ends.
func (c *credentials) run(ctx context.Context) {
	id, _ := c.get()
	wait := time.Until(id.IssuedAt.Add(jitter(id.Lifetime / 2)))
	if wait > id.Lifetime {
		wait = 0 // the clock was set back since
	}
	failures := 0
	kick := c.kick
	for {
		kicked, ok := pause(ctx, wait, kick)
		if !ok {
			return
		}
		err := c.renew(ctx)
		kick = c.kick
		var no *RefusedError
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures = 0
			id, _ = c.get()
			wait = jitter(id.Lifetime / 2)
		case errors.As(err, &no) && no.final():
			c.setFault("the server does not renew this agent's identity: " + err.Error() + "; if that is wrong, enrol again")
			wait = jitter(renewRefusedPause)
			kick = nil // the bus will say the same as the server
		default:
			c.setFault("renewal of the identity: " + err.Error())
			wait = jitter(min(renewFirstPause<<min(failures, 10), renewLongestPause))
			failures++
		}
		if kicked {
			// The bus refused the JWT. It may do so again at once, and the
			// server must not be asked at that pace.
			if !sleep(ctx, min(wait, time.Minute)) {
				return
			}
		}
	}
}

// pause waits, or less if a renewal is asked for.
func pause(ctx context.Context, d time.Duration, kick <-chan struct{}) (kicked, ok bool) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return false, true
	case <-kick:
		return true, true
	case <-ctx.Done():
		return false, false
	}
}

func (c *credentials) renew(ctx context.Context) error {
	id, _ := c.get()
	key, err := id.key()
	if err != nil {
		return err
	}
	roots, err := id.roots()
	if err != nil {
		return err
	}
	req := wire.RenewRequest{Agent: id.Agent, Time: time.Now().UTC(), Nonce: rand.Text()}
	if err := req.Sign(key); err != nil {
		return err
	}
	answer, err := post(ctx, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, id.Server, "/v1/renew", "", req)
	if err != nil {
		return err
	}
	fresh := id.renewed(answer, time.Now())
	if err := fresh.check(); err != nil {
		return fmt.Errorf("the server's answer: %w", err)
	}
	if err := fresh.save(c.dir); err != nil {
		return err
	}
	c.mu.Lock()
	moved := fresh.CA != id.CA || !slices.Equal(fresh.BusURLs, id.BusURLs)
	c.id = fresh
	if moved {
		close(c.moved)
		c.moved = make(chan struct{})
	}
	c.mu.Unlock()
	c.setFault("")
	c.log.Info("identity renewed", slog.Time("expires", fresh.ExpiresAt))
	return nil
}

func (c *credentials) setFault(fault string) {
	c.mu.Lock()
	was := c.fault
	c.fault = fault
	c.mu.Unlock()
	if was != fault {
		if fault != "" {
			c.log.Warn("identity", slog.String("fault", fault))
		}
		c.changed()
	}
}

// jitter returns d give or take a tenth, so that a fleet does not act as one.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(mrand.Int64N(int64(d/5)+1))
}

// sleep reports whether the time passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
