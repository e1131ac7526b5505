// Package fleet brings machines under watch: enrolment with one-time tokens,
// the identity of agents and its renewal, revocation, and what the server
// knows about whether a VM is watched.
package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// Errors of enrolment and renewal; they tell the agent what to do.
var (
	// ErrToken: the token is unknown, used or expired. Which of these is not said.
	ErrToken = errors.New("the enrolment token is not valid: it is unknown, expired, or was used already; ask for a new one")
	// ErrRevoked: the agent's identity was ended.
	ErrRevoked = errors.New("this agent's identity was revoked; enrol the machine again with a new token")
	// ErrSignature: a renewal that the agent's key did not sign, or an old one.
	ErrSignature = errors.New("the renewal is not signed by the agent's key, or the agent's clock is wrong by more than the limit")
)

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Bus admits agents.
type Bus interface {
	IssueAgent(ctx context.Context, tenant, agent, publicKey string, ttl time.Duration) (jwt string, expires time.Time, err error)
	RevokeAgent(ctx context.Context, tenant, publicKey string) error
	NotifyAgent(ctx context.Context, tenant, agent string, note wire.Note) error
}

// VMs adds machines to the estate.
type VMs interface {
	AddVM(tx *store.Tx, actor string, home estate.VDC, name string, d estate.Declaration) (estate.VM, error)
}

// Judge judges the duties of subjects within a transaction.
type Judge interface {
	Rejudge(tx *store.Tx, subjects ...evidence.Subject) error
}

// Fleet is the use-case. All members are required. It is safe for concurrent use.
type Fleet struct {
	Store  *store.Store
	Ledger Recorder
	Bus    Bus
	VMs    VMs
	Judge  Judge
	// CA are the PEM certificates that agents trust, and Pin the SHA-256 of the
	// first one's DER, which tokens carry.
	CA      string
	Pin     [sha256.Size]byte
	BusURLs []string
	Now     func() time.Time
	Log     *slog.Logger
}

const (
	// IdentityLength is how long an agent's JWT counts; it renews at half of it.
	IdentityLength = 24 * time.Hour
	// MaxRenewalAge bounds how far the clock in a renewal may be off.
	MaxRenewalAge = 26 * time.Hour
	// MaxTokenLength is the longest life of an enrolment token.
	MaxTokenLength = 7 * 24 * time.Hour
)

// CreateToken makes a token that enrols one machine into a VDC.
func (f *Fleet) CreateToken(ctx context.Context, by access.Principal, tenant, vdc, vmName string, life time.Duration) (t store.EnrolmentToken, token string, err error) {
	if life <= 0 || life > MaxTokenLength {
		return t, "", fmt.Errorf("%w: an enrolment token lives between one minute and %d days", estate.ErrInvalid, int(MaxTokenLength.Hours()/24))
	}
	if vmName != "" {
		if err := estate.CheckName("VM", vmName); err != nil {
			return t, "", err
		}
	}
	raw := make([]byte, 24)
	rand.Read(raw)
	secret := base64.RawURLEncoding.EncodeToString(raw)
	var keys [sha256.Size]byte
	now := f.Now()
	t = store.EnrolmentToken{ID: ident.New("e"), Tenant: tenant, VMName: vmName, SecretHash: digest(secret), CreatedAt: now, Expires: now.Add(life)}
	err = f.Store.Write(ctx, func(tx *store.Tx) error {
		home, err := tx.VDC(tenant, vdc)
		if err != nil {
			return err
		}
		t.VDC = home.ID
		if keys, err = keySetDigest(tx, tenant); err != nil {
			return err
		}
		if err := tx.InsertEnrolmentToken(t); err != nil {
			return err
		}
		return f.record(tx, by.Actor(), tenant, "enrolment-token.create", "enrolment-token/"+t.ID)
	})
	return t, wire.Token{ID: strings.TrimPrefix(t.ID, "e-"), Secret: secret, CA: f.Pin, Keys: keys}.String(), err
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (f *Fleet) record(tx *store.Tx, actor, tenant, action, subject string) error {
	_, err := f.Ledger.Append(tx, ledger.Entry{Time: f.Now(), Tenant: tenant, Actor: actor, Action: action, Subject: subject})
	return err
}

// Enrol gives the bearer of a token an identity. Of concurrent calls with one
// token exactly one succeeds; the same key may repeat a call whose answer got
// lost.
func (f *Fleet) Enrol(ctx context.Context, token string, req wire.EnrolRequest) (wire.Identity, error) {
	tok, err := wire.ParseToken(token)
	if err != nil {
		return wire.Identity{}, ErrToken
	}
	if !nkeys.IsValidPublicUserKey(req.PublicKey) {
		return wire.Identity{}, fmt.Errorf("%w: public_key must be an NKey of kind user", estate.ErrInvalid)
	}
	if len(req.Hostname) > 253 || len(req.MachineID) > 100 || len(req.Software) > 100 {
		return wire.Identity{}, fmt.Errorf("%w: a member of the enrolment request is too long", estate.ErrInvalid)
	}
	var a store.Agent
	var vm estate.VM
	err = f.Store.Write(ctx, func(tx *store.Tx) error {
		t, err := tx.EnrolmentToken("e-" + tok.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if subtle.ConstantTimeCompare([]byte(digest(tok.Secret)), []byte(t.SecretHash)) != 1 {
			return ErrToken
		}
		if t.UsedAt != nil {
			a, vm, err = f.repeat(tx, t, req.PublicKey)
			return err
		}
		a, vm, err = f.admit(tx, t, req)
		return err
	})
	if err != nil {
		return wire.Identity{}, err
	}
	id, err := f.identity(ctx, a)
	if err != nil {
		return id, err
	}
	id.VM, id.VMName = vm.ID, vm.Name
	err = f.Store.Read(ctx, func(tx *store.Tx) (err error) {
		id.Keys, err = keyHistory(tx, a.Tenant)
		return err
	})
	return id, err
}

// repeat answers a second call with the same token and the same key.
func (f *Fleet) repeat(tx *store.Tx, t store.EnrolmentToken, publicKey string) (store.Agent, estate.VM, error) {
	a, err := tx.Agent(t.Agent)
	if err != nil || a.PublicKey != publicKey || a.RevokedAt != nil {
		return a, estate.VM{}, ErrToken
	}
	vm, err := tx.VMByID(a.VM)
	return a, vm, err
}

func (f *Fleet) admit(tx *store.Tx, t store.EnrolmentToken, req wire.EnrolRequest) (a store.Agent, vm estate.VM, err error) {
	now := f.Now()
	a = store.Agent{ID: ident.New("a"), Tenant: t.Tenant, PublicKey: req.PublicKey, EnrolledAt: now, Software: printable(req.Software)}
	if err := tx.UseEnrolmentToken(t.ID, a.ID, now); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return a, vm, ErrToken
		}
		return a, vm, err
	}
	name := t.VMName
	if name == "" {
		name = vmName(req.Hostname)
	}
	vm, err = tx.VM(t.Tenant, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		home, err := tx.VDC(t.Tenant, t.VDC)
		if err != nil {
			return a, vm, err
		}
		if vm, err = f.VMs.AddVM(tx, "agent/"+a.ID, home, name, estate.Declaration{}); err != nil {
			return a, vm, err
		}
	case err != nil:
		return a, vm, err
	default:
		others, err := tx.AgentsOfVM(vm.ID)
		if err != nil {
			return a, vm, err
		}
		if len(others) > 0 {
			return a, vm, fmt.Errorf("VM %s has the agent %s already: revoke it first, or enrol under another name: %w", vm.Name, others[0].ID, store.ErrConflict)
		}
	}
	a.VM = vm.ID
	if err := tx.InsertAgent(a); err != nil {
		return a, vm, err
	}
	if err := f.record(tx, "agent/"+a.ID, a.Tenant, "agent.enrol", "vm/"+vm.ID); err != nil {
		return a, vm, err
	}
	return a, vm, f.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeVM, Tenant: vm.Tenant, ID: vm.ID})
}

func (f *Fleet) identity(ctx context.Context, a store.Agent) (wire.Identity, error) {
	jwt, expires, err := f.Bus.IssueAgent(ctx, a.Tenant, a.ID, a.PublicKey, IdentityLength)
	if err != nil {
		return wire.Identity{}, fmt.Errorf("issue the identity of agent %s: %w", a.ID, err)
	}
	return wire.Identity{Agent: a.ID, Tenant: a.Tenant, VM: a.VM, JWT: jwt, ExpiresAt: expires, BusURLs: f.BusURLs, CA: f.CA}, nil
}

// Renew gives an agent a new JWT for the key that it enrolled with.
func (f *Fleet) Renew(ctx context.Context, req wire.RenewRequest) (wire.Identity, error) {
	var a store.Agent
	err := f.Store.Read(ctx, func(tx *store.Tx) (err error) {
		a, err = tx.Agent(req.Agent)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return wire.Identity{}, ErrSignature
	}
	if err != nil {
		return wire.Identity{}, err
	}
	if len(req.Nonce) > 100 || req.Verify(a.PublicKey) != nil || req.Time.Sub(f.Now()).Abs() > MaxRenewalAge {
		return wire.Identity{}, ErrSignature
	}
	if a.RevokedAt != nil {
		return wire.Identity{}, ErrRevoked
	}
	return f.identity(ctx, a)
}

// Revoke ends an agent's identity: its connection is cut and it cannot come back.
func (f *Fleet) Revoke(ctx context.Context, by access.Principal, tenant, id string) (a store.Agent, err error) {
	err = f.Store.Write(ctx, func(tx *store.Tx) error {
		if a, err = tx.Agent(id); err != nil {
			return err
		}
		if a.Tenant != tenant {
			return fmt.Errorf("agent %q: %w", id, store.ErrNotFound)
		}
		now := f.Now()
		if err := tx.RevokeAgent(id, now); err != nil {
			return err
		}
		a.RevokedAt = &now
		if err := f.record(tx, by.Actor(), tenant, "agent.revoke", "agent/"+id); err != nil {
			return err
		}
		return f.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: a.VM})
	})
	if err != nil {
		return a, err
	}
	// The store refuses its records from here on; cutting the connection is
	// for its own knowledge, and is repeated at the next start.
	if err := f.Bus.RevokeAgent(ctx, tenant, a.PublicKey); err != nil {
		f.Log.Error("cut a revoked agent off the bus", "agent", id, "error", err)
	}
	return a, nil
}

// Refresh asks the agents of a VM to look at everything now.
func (f *Fleet) Refresh(ctx context.Context, vm estate.VM) error {
	var agents []store.Agent
	err := f.Store.Read(ctx, func(tx *store.Tx) (err error) {
		agents, err = tx.AgentsOfVM(vm.ID)
		return err
	})
	if err != nil {
		return err
	}
	if len(agents) == 0 {
		return fmt.Errorf("VM %s has no agent: %w", vm.Name, store.ErrConflict)
	}
	for _, a := range agents {
		if err := f.Bus.NotifyAgent(ctx, a.Tenant, a.ID, wire.Note{Type: wire.NoteRefresh}); err != nil {
			return fmt.Errorf("ask agent %s: %w", a.ID, err)
		}
	}
	return nil
}

var notInName = regexp.MustCompile(`[^a-z0-9._-]+`)

// vmName makes a VM name of a host name.
func vmName(hostname string) string {
	n := strings.Trim(notInName.ReplaceAllString(strings.ToLower(hostname), "-"), "-._")
	if len(n) > 63 {
		n = strings.Trim(n[:63], "-._")
	}
	if n == "" {
		return "vm"
	}
	return n
}

// printable keeps foreign text harmless where it is shown.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
}
