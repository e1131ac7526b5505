package bus

import (
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/wire"
)

// Subjects on the hub account. A tenant's account reaches ingest and notes only
// with its own key as the second token: the servers check that because the
// exports name the token's position.
const (
	ingestPrefix = "ingest"
	notesPrefix  = "notes"
	eventsPrefix = "event"
)

// operatorJWT declares the operator and its system account.
func (k keys) operatorJWT() (string, error) {
	op, err := public(k.operator)
	if err != nil {
		return "", err
	}
	sys, err := public(k.system)
	if err != nil {
		return "", err
	}
	c := jwt.NewOperatorClaims(op)
	c.Name = "demarc"
	c.SystemAccount = sys
	return c.Encode(k.operator)
}

func (k keys) systemJWT() (string, error) {
	sys, err := public(k.system)
	if err != nil {
		return "", err
	}
	c := jwt.NewAccountClaims(sys)
	c.Name = "system"
	return c.Encode(k.operator)
}

func (k keys) hubJWT() (string, error) {
	hub, err := public(k.hub)
	if err != nil {
		return "", err
	}
	signer, err := public(k.hubSigner)
	if err != nil {
		return "", err
	}
	c := jwt.NewAccountClaims(hub)
	c.Name = "hub"
	c.SigningKeys.Add(signer)
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	c.Exports.Add(
		&jwt.Export{Name: "records", Subject: ingestPrefix + ".*.*", Type: jwt.Service, AccountTokenPosition: 2},
		&jwt.Export{Name: "notes", Subject: notesPrefix + ".*.*", Type: jwt.Stream, AccountTokenPosition: 2},
	)
	return c.Encode(k.operator)
}

// tenantClaims is the account of a tenant: it takes part in nothing but its own
// slices of ingest and notes.
func (k keys) tenantClaims(tenant, account, signer string, revoked map[string]time.Time) (*jwt.AccountClaims, error) {
	hub, err := public(k.hub)
	if err != nil {
		return nil, err
	}
	c := jwt.NewAccountClaims(account)
	c.Name = tenant
	c.SigningKeys.Add(signer)
	c.Limits.Exports = 0
	c.Limits.WildcardExports = false
	c.Limits.LeafNodeConn = 0
	c.Limits.DisallowBearer = true
	c.Limits.Payload = wire.MaxMessageBytes
	c.Imports.Add(
		&jwt.Import{Name: "records", Account: hub, Type: jwt.Service,
			Subject: jwt.Subject(ingestPrefix + "." + account + ".*"), LocalSubject: jwt.RenamingSubject(wire.RecordsSubject("$1"))},
		&jwt.Import{Name: "notes", Account: hub, Type: jwt.Stream,
			Subject: jwt.Subject(notesPrefix + "." + account + ".*"), LocalSubject: jwt.RenamingSubject(wire.NotesSubject("$1"))},
	)
	for key, at := range revoked {
		c.RevokeAt(key, at)
	}
	return c, nil
}

// agentJWT admits an agent to its own subjects. Leaf nodes are left out of the
// connection types: one would bring subjects of its own.
func agentJWT(agent, publicKey, account string, networks []string, signer nkeys.KeyPair, expires time.Time) (string, error) {
	c := jwt.NewUserClaims(publicKey)
	c.Name = agent
	c.IssuerAccount = account
	c.Expires = expires.Unix()
	c.Permissions.Pub.Allow.Add(wire.RecordsSubject(agent))
	c.Permissions.Sub.Allow.Add(wire.NotesSubject(agent), "_INBOX."+agent+".>")
	c.Limits.Subs = 16
	c.Limits.Payload = wire.MaxMessageBytes
	if len(networks) > 0 {
		c.Limits.Src.Add(networks...)
		c.Limits.Src.Add("127.0.0.0/8", "::1/128")
	}
	c.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard)
	token, err := c.Encode(signer)
	if err != nil {
		return "", fmt.Errorf("sign the identity of agent %s: %w", agent, err)
	}
	return token, nil
}

// serverUser makes a key and a JWT for a connection of the server itself. They
// live in memory and end with the process.
func serverUser(name, account string, signer nkeys.KeyPair) (token string, user nkeys.KeyPair, err error) {
	if user, err = nkeys.CreateUser(); err != nil {
		return "", nil, err
	}
	pub, err := public(user)
	if err != nil {
		return "", nil, err
	}
	c := jwt.NewUserClaims(pub)
	c.Name = name
	if s, err := public(signer); err != nil {
		return "", nil, err
	} else if s != account {
		c.IssuerAccount = account
	}
	token, err = c.Encode(signer)
	return token, user, err
}
