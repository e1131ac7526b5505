package grant

import (
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

// TakeEnded has the index hear of a grant that ended.
func (g *Grants) TakeEnded() {
	now := g.now()
	g.index.take(store.Grant{ID: ident.New("gr"), State: access.Revoked, From: now, Changed: 1})
}

// TakeLive has the index hear of a grant in force.
func (g *Grants) TakeLive(x store.Grant) { g.index.take(x) }
