package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// Bounds of an agent's identity. A revocation is remembered for twice the
// longest life, after which no identity that it concerns is valid any more.
const (
	DefaultAgentTTL = 24 * time.Hour
	maxAgentTTL     = 7 * 24 * time.Hour
)

// tenant is the bus's view of one tenant.
type tenant struct {
	id      string
	account string
	signer  nkeys.KeyPair
	push    sync.Mutex // one push of this tenant's claims at a time
}

// EnsureTenant makes sure that the tenant has an account on the bus. It does
// nothing if there is one, except to mend it where it differs.
func (b *Bus) EnsureTenant(ctx context.Context, tenantID string) error {
	_, err := b.tenant(ctx, tenantID)
	return err
}

func (b *Bus) tenant(ctx context.Context, id string) (*tenant, error) {
	if err := checkID("tenant", id); err != nil {
		return nil, err
	}
	b.mu.Lock()
	t := b.tenants[id]
	b.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t, err := b.loadTenant(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("bus account of tenant %s: %w", id, err)
	}
	if err := b.pushTenant(ctx, t); err != nil {
		return nil, fmt.Errorf("bus account of tenant %s: %w", id, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if other := b.tenants[id]; other != nil {
		return other, nil
	}
	b.tenants[id], b.byKey[t.account] = t, id
	return t, nil
}

func (b *Bus) loadTenant(ctx context.Context, id string) (*tenant, error) {
	account, err := ensureKey(ctx, b.cfg.Secrets, secretTenant+id, nkeys.PrefixByteAccount)
	if err != nil {
		return nil, err
	}
	signer, err := ensureKey(ctx, b.cfg.Secrets, secretTenantSigner+id, nkeys.PrefixByteAccount)
	if err != nil {
		return nil, err
	}
	t := &tenant{id: id, signer: signer}
	if t.account, err = public(account); err != nil {
		return nil, err
	}
	_, err = ensureSecret(ctx, b.cfg.Secrets, secretAccount+t.account, func() ([]byte, error) { return []byte(id), nil })
	return t, err
}

// tenantOf returns the tenant whose account is named in a subject.
func (b *Bus) tenantOf(ctx context.Context, account string) (string, error) {
	b.mu.Lock()
	id := b.byKey[account]
	b.mu.Unlock()
	if id != "" {
		return id, nil
	}
	v, err := b.cfg.Secrets.Secret(ctx, secretAccount+account)
	if err != nil || v == nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byKey[account] = string(v)
	return string(v), nil
}

// IssueAgent signs an identity for the agent's public key, valid for ttl (0
// means DefaultAgentTTL, and a week is the most).
func (b *Bus) IssueAgent(ctx context.Context, tenantID, agentID, publicKey string, ttl time.Duration) (token string, expires time.Time, err error) {
	if ttl <= 0 {
		ttl = DefaultAgentTTL
	}
	if err := checkID("agent", agentID); err != nil {
		return "", time.Time{}, err
	}
	if !nkeys.IsValidPublicUserKey(publicKey) {
		return "", time.Time{}, fmt.Errorf("bus: the public key of agent %s is no NKey of kind user", agentID)
	}
	t, err := b.tenant(ctx, tenantID)
	if err != nil {
		return "", time.Time{}, err
	}
	expires = time.Now().Add(min(ttl, maxAgentTTL)).Truncate(time.Second).UTC()
	token, err = agentJWT(agentID, publicKey, t.account, b.cfg.AgentNetworks, t.signer, expires)
	return token, expires, err
}

// RevokeAgent takes back every identity issued to the public key until now.
// Its connections are cut before RevokeAgent returns, and the bus refuses new
// ones, also after a restart.
func (b *Bus) RevokeAgent(ctx context.Context, tenantID, publicKey string) error {
	if !nkeys.IsValidPublicUserKey(publicKey) {
		return fmt.Errorf("bus: revoke: the public key is no NKey of kind user")
	}
	t, err := b.tenant(ctx, tenantID)
	if err != nil {
		return err
	}
	at := time.Now().UTC().Format(time.RFC3339)
	if _, err := b.revoked.PutString(ctx, t.account+"."+publicKey, at); err != nil {
		return fmt.Errorf("bus: revoke: %w", err)
	}
	if err := b.pushTenant(ctx, t); err != nil {
		return fmt.Errorf("bus: revoke: %w", err)
	}
	return nil
}

// pushTenant gives the servers the tenant's account with all its revocations.
// Servers that revoke at once could overwrite each other's list, so each one
// looks again after it has pushed.
func (b *Bus) pushTenant(ctx context.Context, t *tenant) error {
	t.push.Lock()
	defer t.push.Unlock()
	revoked, err := b.revocations(ctx, t.account)
	if err != nil {
		return err
	}
	signer, err := public(t.signer)
	if err != nil {
		return err
	}
	for {
		claims, err := b.keys.tenantClaims(t.id, t.account, signer, revoked)
		if err != nil {
			return err
		}
		if known, err := b.lookup(ctx, t.account); err != nil {
			return err
		} else if known == nil || !sameAccount(known, claims) {
			text, err := claims.Encode(b.keys.operator)
			if err != nil {
				return err
			}
			if err := b.push(ctx, text); err != nil {
				return err
			}
		}
		again, err := b.revocations(ctx, t.account)
		if err != nil || maps.EqualFunc(revoked, again, time.Time.Equal) {
			return err
		}
		revoked = again
	}
}

func sameAccount(a, b *jwt.AccountClaims) bool { return reflect.DeepEqual(a.Account, b.Account) }

func (b *Bus) revocations(ctx context.Context, account string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	list, err := b.revoked.ListKeysFiltered(ctx, account+".*")
	if err != nil {
		return nil, fmt.Errorf("list revocations: %w", err)
	}
	defer list.Stop() // fails if the list has ended by itself, which is well
	for key := range list.Keys() {
		e, err := b.revoked.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // expired meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read revocation: %w", err)
		}
		at, err := time.Parse(time.RFC3339, string(e.Value()))
		if err != nil {
			return nil, fmt.Errorf("read revocation: %w", err)
		}
		out[strings.TrimPrefix(key, account+".")] = at
	}
	return out, ctx.Err()
}

// lookup returns the account as the servers know it, or nil.
func (b *Bus) lookup(ctx context.Context, account string) (*jwt.AccountClaims, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	m, err := b.sys.RequestWithContext(ctx, "$SYS.REQ.ACCOUNT."+account+".CLAIMS.LOOKUP", nil)
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	if len(m.Data) == 0 {
		return nil, nil
	}
	return jwt.DecodeAccountClaims(string(m.Data))
}

// push gives an account's JWT to the servers.
func (b *Bus) push(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	m, err := b.sys.RequestWithContext(ctx, "$SYS.REQ.CLAIMS.UPDATE", []byte(text))
	if err != nil {
		return fmt.Errorf("push account: %w", err)
	}
	var reply struct {
		Data  struct{ Code int }
		Error *struct{ Description string }
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return fmt.Errorf("push account: the server's answer: %w", err)
	}
	if reply.Error != nil {
		return fmt.Errorf("push account: the server refused it: %s", reply.Error.Description)
	}
	return nil
}
