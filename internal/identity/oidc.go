package identity

import (
	"context"

	"github.com/demarc/demarc/internal/store"
)

// IdentityProviders lists those of a tenant; the provider's if it is empty.
func (i *Identities) IdentityProviders(ctx context.Context, tenant string) (out []store.IdentityProvider, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.IdentityProviders(tenant)
		return err
	})
	return out, err
}

// oidcData is what is sealed of a person's account at an identity provider.
type oidcData struct {
	Provider string `json:"provider"` // its name
	ID       string `json:"id"`
	Subject  string `json:"subject"`
}
