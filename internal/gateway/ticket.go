package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
)

// Ticket opens a web console, once.
type Ticket struct {
	URL     string
	Expires time.Time
}

// Ticket makes a ticket for the holder of a grant that allows the console.
func (g *Gateway) Ticket(context.Context, access.Principal, string, string) (Ticket, error) {
	return Ticket{}, fmt.Errorf("%w: this server has no proxy for web consoles; start it with --proxy", estate.ErrInvalid)
}
