package agent

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/wire"
)

// ErrNotEnrolled says that the directory holds no identity.
var ErrNotEnrolled = errors.New("this machine is not enrolled: run `demarc-agent enroll --server URL` with a token from `demarc agent enroll-token`")

// Identity is what the agent keeps of its enrolment, in one file that only its
// owner can read.
type Identity struct {
	wire.Identity
	// Server is the HTTPS address that the agent enrolled with and renews at.
	Server string `json:"server"`
	// Seed is the private half of the agent's key.
	Seed string `json:"seed"`
	// IssuedAt is when the JWT arrived, by this machine's clock, and Lifetime
	// how long it is valid. Renewal goes by these and not by ExpiresAt, which is
	// the server's clock.
	IssuedAt time.Time     `json:"issued_at"`
	Lifetime time.Duration `json:"lifetime_ns"`
}

const identityFile = "identity.json"

// LoadIdentity reads the identity in dir; ErrNotEnrolled if there is none.
func LoadIdentity(dir string) (Identity, error) {
	var id Identity
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return id, ErrNotEnrolled
	}
	if err != nil {
		return id, fmt.Errorf("read identity: %w", err)
	}
	if err := json.Unmarshal(b, &id); err != nil {
		// The error of the JSON package may quote the seed.
		return id, fmt.Errorf("read identity: %s is damaged: enrol again with --force", filepath.Join(dir, identityFile))
	}
	return id, id.check()
}

func (id Identity) check() error {
	switch {
	case !namePattern.MatchString(id.Agent):
		return errors.New("identity: the agent's name is missing or no single word")
	case id.JWT == "" || id.Seed == "":
		return errors.New("identity: the JWT or the seed is missing: enrol again with --force")
	case len(id.BusURLs) == 0:
		return errors.New("identity: the server named no bus to connect to")
	}
	_, err := id.roots()
	return err
}

func (id Identity) key() (nkeys.KeyPair, error) {
	k, err := nkeys.FromSeed([]byte(id.Seed))
	if err != nil {
		return nil, errors.New("identity: the seed is damaged: enrol again with --force")
	}
	return k, nil
}

func (id Identity) save(dir string) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, identityFile), b, 0o600); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return nil
}

// renewed returns id with what a renewal brought; a server may leave out what
// did not change.
func (id Identity) renewed(n wire.Identity, now time.Time) Identity {
	out := id
	out.JWT, out.ExpiresAt = n.JWT, n.ExpiresAt
	for _, f := range []struct {
		to   *string
		from string
	}{{&out.VM, n.VM}, {&out.VMName, n.VMName}, {&out.CA, n.CA}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	if len(n.BusURLs) > 0 {
		out.BusURLs = n.BusURLs
	}
	out.IssuedAt, out.Lifetime = now, lifetime(n, now)
	return out
}

// lifetime reads from the JWT how long it is valid, both ends by the server's
// clock. The JWT is not verified: the bus does that.
func lifetime(n wire.Identity, now time.Time) time.Duration {
	var c struct{ Iat, Exp int64 }
	parts := strings.Split(n.JWT, ".")
	if len(parts) == 3 {
		if b, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(b, &c) == nil && c.Exp > c.Iat && c.Iat > 0 {
			return time.Duration(c.Exp-c.Iat) * time.Second
		}
	}
	return max(n.ExpiresAt.Sub(now), time.Minute)
}
