package bus

import (
	"bytes"
	"context"
	"fmt"

	"github.com/nats-io/nkeys"
)

// Secrets is where the bus keeps its keys, sealed by the implementer. It is
// safe for concurrent use, also by several servers on one store.
type Secrets interface {
	// Secret returns the secret of that name, nil if there is none.
	Secret(ctx context.Context, name string) ([]byte, error)
	// SetSecret durably stores value under a name that has none yet. Where
	// another caller was first it keeps that one's value and returns nil.
	SetSecret(ctx context.Context, name string, value []byte) error
}

// Names of the secrets. That of a tenant's account is followed by the tenant's
// id; that of the reverse entry, which is no secret, by the account.
const (
	secretOperator     = "bus.operator"
	secretSystem       = "bus.system"
	secretHub          = "bus.hub"
	secretHubSigner    = "bus.hub.signer"
	secretTenant       = "bus.tenant."
	secretTenantSigner = "bus.tenant.signer."
	secretAccount      = "bus.account."
)

// keys are the key pairs that the whole bus stands on.
type keys struct {
	operator, system, hub, hubSigner nkeys.KeyPair
}

func loadKeys(ctx context.Context, s Secrets) (keys, error) {
	var k keys
	for _, part := range []struct {
		name string
		kind nkeys.PrefixByte
		to   *nkeys.KeyPair
	}{
		{secretOperator, nkeys.PrefixByteOperator, &k.operator},
		{secretSystem, nkeys.PrefixByteAccount, &k.system},
		{secretHub, nkeys.PrefixByteAccount, &k.hub},
		{secretHubSigner, nkeys.PrefixByteAccount, &k.hubSigner},
	} {
		var err error
		if *part.to, err = ensureKey(ctx, s, part.name, part.kind); err != nil {
			return keys{}, err
		}
	}
	return k, nil
}

// ensureKey returns the key of that name, which the first caller makes.
func ensureKey(ctx context.Context, s Secrets, name string, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	seed, err := ensureSecret(ctx, s, name, func() ([]byte, error) {
		fresh, err := nkeys.CreatePair(kind)
		if err != nil {
			return nil, err
		}
		return fresh.Seed()
	})
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	prefix, _, err := nkeys.DecodeSeed(seed)
	if err != nil || prefix != kind {
		return nil, fmt.Errorf("key %s: the stored secret is no seed of its kind", name)
	}
	return nkeys.FromSeed(seed)
}

func ensureSecret(ctx context.Context, s Secrets, name string, make func() ([]byte, error)) ([]byte, error) {
	value, err := s.Secret(ctx, name)
	if err != nil || value != nil {
		return value, err
	}
	fresh, err := make()
	if err != nil {
		return nil, err
	}
	if err := s.SetSecret(ctx, name, fresh); err != nil {
		return nil, err
	}
	// Another server may have been first: what is stored counts.
	value, err = s.Secret(ctx, name)
	if err == nil && value == nil {
		err = fmt.Errorf("the secret store does not give back what it took")
	}
	return bytes.Clone(value), err
}

func public(k nkeys.KeyPair) (string, error) {
	p, err := k.PublicKey()
	if err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	return p, nil
}
