package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/wire"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ErrEnrolled says that the directory holds an identity already.
var ErrEnrolled = errors.New("this machine is enrolled already; --force gives up its identity and takes a new one")

// EnrolOptions say where to enrol.
type EnrolOptions struct {
	// Server is https://HOST[:PORT]. Required.
	Server string
	// Token is the one-time token as text. Required.
	Token string
	// Dir keeps the identity; it is made if missing. Required.
	Dir string
	// Root stands for "/", where the machine's id is read. Empty means "/".
	Root string
	// Software names this program and its version.
	Software string
	// Force replaces an identity that is there.
	Force bool
}

// Enrol exchanges a one-time token for an identity and stores it. The private
// key is made here and never leaves the machine.
func Enrol(ctx context.Context, o EnrolOptions) (Identity, error) {
	origin, host, err := checkServer(o.Server)
	if err != nil {
		return Identity{}, err
	}
	token, err := wire.ParseToken(o.Token)
	if err != nil {
		return Identity{}, err
	}
	// Whatever could fail on this side must fail before the token is used up.
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return Identity{}, fmt.Errorf("make the agent's directory: %w", err)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, identityFile)); err == nil && !o.Force {
		return Identity{}, ErrEnrolled
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("look for an identity: %w", err)
	}
	key, err := pendingKey(o.Dir, token.ID)
	if err != nil {
		return Identity{}, err
	}
	seed, err := key.Seed()
	if err != nil {
		return Identity{}, fmt.Errorf("make key: %w", err)
	}
	pub, err := key.PublicKey()
	if err != nil {
		return Identity{}, fmt.Errorf("make key: %w", err)
	}
	hostname, _ := os.Hostname() // only a proposal
	answer, err := post(ctx, pinned(token.CA, host), origin, "/v1/enrol", token.String(), wire.EnrolRequest{
		PublicKey: pub, Hostname: hostname, MachineID: machineID(o.Root), Software: o.Software,
	})
	if err != nil {
		return Identity{}, fmt.Errorf("enrol at %s: %w", origin, err)
	}
	now := time.Now()
	id := Identity{Identity: answer, Server: origin, Seed: string(seed), IssuedAt: now, Lifetime: lifetime(answer, now)}
	if err := id.check(); err != nil {
		return Identity{}, fmt.Errorf("enrol at %s: the server's answer: %w", origin, err)
	}
	if err := id.save(o.Dir); err != nil {
		return Identity{}, err
	}
	if err := os.Remove(filepath.Join(o.Dir, pendingFile)); err != nil {
		return id, fmt.Errorf("remove the key of the enrolment that is done: %w", err)
	}
	return id, nil
}

const pendingFile = "enrolment.json"

// pendingKey returns the key to enrol with. It is kept until the enrolment is
// done: where the server's answer got lost, the same token with the same key
// may be tried again, and with another key it may not. Writing it also shows,
// before the token is used up, that the directory can be written.
func pendingKey(dir, token string) (nkeys.KeyPair, error) {
	path := filepath.Join(dir, pendingFile)
	var p struct {
		Token string `json:"token"` // its id, which is no secret
		Seed  string `json:"seed"`
	}
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &p) == nil && p.Token == token {
		if key, err := nkeys.FromSeed([]byte(p.Seed)); err == nil {
			return key, nil
		}
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	seed, err := key.Seed()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	p.Token, p.Seed = token, string(seed)
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("keep key: %w", err)
	}
	if err := durable.WriteFile(path, b, 0o600); err != nil {
		return nil, fmt.Errorf("write to the agent's directory: %w", err)
	}
	return key, nil
}

// machineID digests the machine's id, which should not be told (machine-id(5)).
func machineID(root string) string {
	if root == "" {
		root = "/"
	}
	for _, name := range []string{"etc/machine-id", "var/lib/dbus/machine-id"} {
		if b, err := os.ReadFile(filepath.Join(root, name)); err == nil && len(bytes.TrimSpace(b)) > 0 {
			sum := sha256.Sum256(append([]byte("demarc-machine-id\n"), bytes.TrimSpace(b)...))
			return "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return ""
}
