package selfcheck

import (
	"math"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

type vault struct {
	Sealed           bool     `json:"sealed" doc:"every secret of the installation opens with the master key, so none lies in the clear"`
	Outside          []string `json:"outside" doc:"credentials that stand and lie elsewhere"`
	LongestLifeHours float64  `json:"longest_life_hours" doc:"of SSH certificates and of tokens of the provider's people"`
}

// VaultKind is the fact kind of Vault.
var VaultKind = evidence.KindOf[vault]("credential.vault", evidence.ScopeProvider, again, "How the provider's credentials are kept.")

// vaultAgain is how soon a credential that was put away is noticed.
const vaultAgain = 5 * time.Second

// Vault is the source of the fact about how credentials are kept. All members
// are required.
type Vault struct {
	// Sealed tries to open every secret.
	Sealed func(tx *store.Tx) (bool, error)
	// Outside lists credentials that count and do not lie in the vault.
	Outside func(tx *store.Tx, now time.Time) ([]string, error)
	// Certificate is the longest life of an SSH certificate.
	Certificate time.Duration
}

// Scope implements posture.Source.
func (Vault) Scope() evidence.Scope { return evidence.ScopeProvider }

// Facts implements posture.Source.
func (v Vault) Facts(tx *store.Tx, _ evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	sealed, err := v.Sealed(tx)
	if err != nil {
		return nil, err
	}
	outside, err := v.Outside(tx, now)
	if err != nil {
		return nil, err
	}
	token, err := tx.LongestProviderToken(now)
	if err != nil {
		return nil, err
	}
	life := math.Ceil(max(v.Certificate, token).Hours())
	f, err := fact(VaultKind.Name, vault{Sealed: sealed, Outside: append([]string{}, outside...), LongestLifeHours: life}, now)
	f.Again = now.Add(vaultAgain)
	return []evidence.Fact{f}, err
}
