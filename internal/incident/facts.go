package incident

import (
	"encoding/json"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

type identitiesFact struct {
	Accounts     []string `json:"accounts" doc:"names of accounts"`
	Addresses    []string `json:"addresses" doc:"networks that provider people administer from"`
	Fingerprints []string `json:"fingerprints" doc:"of SSH keys"`
}

// FactKind is the form of the provider.identities fact.
var FactKind = evidence.KindOf[identitiesFact]("provider.identities", evidence.ScopeProvider, time.Minute,
	"Identities of provider staff that must never be seen in a guest.")

// Scope implements posture.Source.
func (i *Incidents) Scope() evidence.Scope { return evidence.ScopeProvider }

// Facts implements posture.Source. While no identity is known there is no
// fact: that none was seen would say nothing.
func (i *Incidents) Facts(tx *store.Tx, _ evidence.Subject, _ time.Time) ([]evidence.Fact, error) {
	k, err := i.known(tx)
	if err != nil || k.Empty() {
		return nil, err
	}
	f := identitiesFact{Accounts: list0(k.Accounts), Addresses: []string{}, Fingerprints: list0(k.Fingerprints)}
	for _, n := range k.Networks {
		f.Addresses = append(f.Addresses, n.String())
	}
	raw, err := json.Marshal(f)
	return []evidence.Fact{{Kind: FactKind.Name, Data: raw}}, err
}

func list0(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
