package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/store"
)

const (
	// ticketLife is how soon a ticket must be used.
	ticketLife = time.Minute
	// maxTickets bounds those that are not used yet.
	maxTickets = 1000
)

// Ticket opens a web console, once. The secret is in the fragment of the URL,
// which browsers send to nobody.
type Ticket struct {
	URL     string
	Expires time.Time
}

// tickets are those made by this server and not used yet, by their digest.
type tickets struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]ticket // guarded by mu
}

type ticket struct {
	grant, principal, target string
	expires                  time.Time
}

// secret is 256 random bits, for tickets and cookies.
func secret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// make keeps a ticket and returns its secret.
func (t *tickets) make(x ticket, now time.Time) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, old := range t.all {
		if !now.Before(old.expires) {
			delete(t.all, k)
		}
	}
	if len(t.all) >= maxTickets {
		return "", fmt.Errorf("%w: too many tickets wait to be used; try again in a minute", store.ErrConflict)
	}
	if t.all == nil {
		t.all = map[[sha256.Size]byte]ticket{}
	}
	s := secret()
	t.all[sha256.Sum256([]byte(s))] = x
	return s, nil
}

// take returns a ticket, once.
func (t *tickets) take(s string, now time.Time) (ticket, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := sha256.Sum256([]byte(s))
	x, ok := t.all[k]
	delete(t.all, k)
	return x, ok && now.Before(x.expires)
}

// Ticket makes a ticket for the holder of a grant that allows the console.
func (g *Gateway) Ticket(ctx context.Context, by access.Principal, grantID, target string) (Ticket, error) {
	if g.ProxyURL == "" {
		return Ticket{}, fmt.Errorf("%w: this server has no proxy for web consoles; it is started with --proxy", estate.ErrInvalid)
	}
	x := ticket{grant: grantID, principal: by.ID, expires: g.Now().Add(ticketLife)}
	err := g.Store.Read(ctx, func(tx *store.Tx) error {
		gr, err := g.Held(tx, by, grantID)
		if err != nil {
			return err
		}
		t, err := tx.Target(target)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil || t.RemovedAt != nil || t.Kind != KindWeb || !gr.allows(Console, t) {
			return fmt.Errorf("%w: grant %s does not include a web console %q", estate.ErrInvalid, grantID, clip(target))
		}
		x.target = t.ID
		return nil
	})
	if err != nil {
		return Ticket{}, err
	}
	s, err := g.tickets.make(x, g.Now())
	if err != nil {
		return Ticket{}, err
	}
	u, err := url.Parse(g.ProxyURL)
	if err != nil {
		return Ticket{}, fmt.Errorf("address of the proxy: %w", err)
	}
	u.Path, u.Fragment = openPath, s
	return Ticket{URL: u.String(), Expires: x.expires}, nil
}
