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

	"github.com/demarc/demarc/internal/decision"
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
	// CustomerKeys is the digest of the customer's key set ("sha256:…"), by the
	// customer's own word. Empty takes the one that the token names, if it does.
	CustomerKeys string
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
	keys, err := o.keys(token)
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
	state, err := id.customer(keys)
	if err != nil {
		return Identity{}, fmt.Errorf("enrol at %s: %w", origin, err)
	}
	id.Keys = nil
	if err := keepCustomer(o.Dir, keys, state); err != nil {
		return Identity{}, err
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

// keys is the digest of the key set to pin; empty for none.
func (o EnrolOptions) keys(token wire.Token) (string, error) {
	named := ""
	if token.Keys != [sha256.Size]byte{} {
		named = "sha256:" + hex.EncodeToString(token.Keys[:])
	}
	switch {
	case o.CustomerKeys == "":
		return named, nil
	case !digestForm.MatchString(o.CustomerKeys):
		return "", errors.New("--customer-key: want the digest of the customer's key set as sha256:<64 hex digits>; `demarc key list` prints it")
	}
	return o.CustomerKeys, nil
}

// customer makes what is known of the customer at enrolment: the pinned key set
// must be among those that the server shows, or the machine would obey nobody.
func (id Identity) customer(pin string) (customer, error) {
	state := customer{}.under(pin, id)
	if pin == "" {
		return state, nil
	}
	var h decision.History
	if len(id.Keys) == 0 {
		return state, fmt.Errorf("the customer's keys %s were named, and the server knows no keys of the tenant", pin)
	}
	if err := json.Unmarshal(id.Keys, &h); err != nil {
		return state, errors.New("the customer's keys that the server shows cannot be read")
	}
	state, err := state.follow(h)
	if err != nil {
		return state, fmt.Errorf("the server shows other keys of the customer than %s: %w", pin, err)
	}
	return state, nil
}

// keepCustomer puts what is known of the customer in the place of what another
// enrolment left.
func keepCustomer(dir, digest string, state customer) error {
	if digest == "" {
		for _, name := range []string{pinFile, customerFile} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("forget the former customer's keys: %w", err)
			}
		}
		return nil
	}
	if err := state.save(dir); err != nil {
		return err
	}
	return pin(dir, digest)
}
