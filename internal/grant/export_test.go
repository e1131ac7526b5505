package grant

import "github.com/demarc/demarc/internal/store"

// Take has the index hear of a grant.
func (g *Grants) Take(x store.Grant) { g.index.take(x) }
