package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
)

// ErrBusy: so many sign in at once that this one had to be sent away.
var ErrBusy = errors.New("too many people sign in at this moment")

// Cost is what hashing a password takes with argon2id.
type Cost struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultCost is the second recommended choice of RFC 9106, section 4.
var DefaultCost = Cost{Memory: 64 << 10, Time: 3, Threads: 4}

// Lengths of salt and hash, as there.
const (
	argonSalt = 16
	argonKey  = 32
)

// hashing lets few passwords be hashed at once, for each takes 64 MiB, and few
// more wait.
type hashing struct {
	once    sync.Once
	running chan struct{}
	waiting chan struct{}
}

func (h *hashing) begin(ctx context.Context) (end func(), err error) {
	h.once.Do(func() {
		n := max(2, runtime.GOMAXPROCS(0))
		h.running, h.waiting = make(chan struct{}, n), make(chan struct{}, 64*n)
	})
	select {
	case h.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	defer func() { <-h.waiting }()
	select {
	case h.running <- struct{}{}:
		return func() { <-h.running }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// encoded is a password's hash as it is kept: the PHC string format of argon2.
type encoded struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func (e encoded) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, e.memory, e.time, e.threads, b64(e.salt), b64(e.key))
}

var errEncoded = errors.New("the kept hash of a password is damaged")

// parseEncoded reads what String wrote. Costs that would exhaust the machine
// are refused.
func parseEncoded(s string) (e encoded, err error) {
	parts := strings.Split(s, "$")
	if len(s) > 300 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return e, errEncoded
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &e.memory, &e.time, &e.threads); n != 3 || err != nil {
		return e, errEncoded
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	e.salt, e.key = salt, key
	if err1 != nil || err2 != nil || e.memory < 8 || e.memory > 1<<20 || e.time < 1 || e.time > 20 || e.threads < 1 ||
		len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64 || e.String() != s {
		return encoded{}, errEncoded
	}
	return e, nil
}

func (e encoded) derive(password string) []byte {
	return argon2.IDKey([]byte(password), e.salt, e.time, e.memory, e.threads, uint32(len(e.key)))
}

// hashPassword hashes a new password.
func (i *Identities) hashPassword(ctx context.Context, password string) (string, error) {
	end, err := i.hashing.begin(ctx)
	if err != nil {
		return "", err
	}
	defer end()
	e := i.blank()
	rand.Read(e.salt)
	e.key = e.derive(password)
	return e.String(), nil
}

// blank is a hash of no password. Passwords of unknown accounts are held
// against it, so that they cost the same time.
func (i *Identities) blank() encoded {
	c := i.Cost
	if c == (Cost{}) {
		c = DefaultCost
	}
	return encoded{memory: c.Memory, time: c.Time, threads: c.Threads, salt: make([]byte, argonSalt), key: make([]byte, argonKey)}
}

// samePassword reports whether the password is the one of the hash; an empty
// hash is nobody's.
func (i *Identities) samePassword(ctx context.Context, password, kept string) (bool, error) {
	e := i.blank()
	if kept != "" {
		var err error
		if e, err = parseEncoded(kept); err != nil {
			return false, err
		}
	}
	end, err := i.hashing.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	return subtle.ConstantTimeCompare(e.derive(password), e.key) == 1 && kept != "", nil
}
