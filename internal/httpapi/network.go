package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/reach"
)

// comesFrom refuses the provider's people where they come from another network
// than the provider's. It is asked after sign-in, so that it tells strangers
// nothing.
func (a *API) comesFrom(p access.Principal, r *http.Request) error {
	if !p.OfProvider() || a.cfg.ProviderNetworks.All() {
		return nil
	}
	if from, ok := reach.Address(r.RemoteAddr); ok && a.cfg.ProviderNetworks.Allow(from) {
		return nil
	}
	return huma.Error403Forbidden("the provider's people are served in the provider's networks only (--allow-provider); connect from one of them")
}
