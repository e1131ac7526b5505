package gateway

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
)

// Certify gives the holder of a grant a certificate for a key of theirs. The
// grant must be in force; another person's is not found.
func (g *Gateway) Certify(ctx context.Context, by access.Principal, grantID, publicKey string) (*ssh.Certificate, error) {
	key, err := ParseKey(publicKey)
	if err == nil {
		err = sshca.CheckKey(key)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: public_key: %w", estate.ErrInvalid, err)
	}
	var cert *ssh.Certificate
	err = g.Store.Write(ctx, func(tx *store.Tx) error {
		gr, err := g.Held(tx, by, grantID)
		if err != nil {
			return err
		}
		names, err := hostNames(tx, gr)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return fmt.Errorf("%w: grant %s names no host; a web console is opened without a certificate", estate.ErrInvalid, grantID)
		}
		cert, err = g.Authority.IssueHolder(sshca.Holder{Grant: gr.ID, Principal: by.ID, Targets: names, Until: gr.Until}, key)
		if err != nil {
			return err
		}
		if g.Noticed != nil {
			if err := g.Noticed(tx, by, ssh.FingerprintSHA256(key), gr.Until); err != nil {
				return err
			}
		}
		_, err = g.Ledger.Append(tx, ledger.Entry{
			Time: g.Now(), Tenant: gr.Tenant, Actor: by.Actor(), Action: "grant.certificate", Subject: "grant/" + gr.ID,
			Digests: map[string]string{"certificate": fingerprint(cert)},
		})
		return err
	})
	return cert, err
}

// Held returns the grant if it is by's and in force.
func (g *Gateway) Held(tx *store.Tx, by access.Principal, grantID string) (Grant, error) {
	gr, err := g.Grants.Active(tx, grantID, g.Now())
	if errors.Is(err, store.ErrConflict) {
		return gr, fmt.Errorf("grant %q is not in force now: %w", grantID, store.ErrConflict)
	}
	if err == nil && gr.Holder != by.ID {
		err = fmt.Errorf("grant %q: %w", grantID, store.ErrNotFound)
	}
	return gr, err
}

// hostNames are the names that a certificate for the grant is good for. What
// was removed meanwhile is left out.
func hostNames(tx *store.Tx, gr Grant) ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for _, a := range gr.Scope {
		t, err := tx.Target(a.Target)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if t.Kind == KindHost && t.RemovedAt == nil && !seen[t.Name] {
			seen[t.Name] = true
			names = append(names, t.Name)
		}
	}
	return names, nil
}
