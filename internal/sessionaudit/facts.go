package sessionaudit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

type changesFact struct {
	Gate         bool     `json:"gate" doc:"every host that a session can reach is watched, so that a change past the gateway would show"`
	Unauthorized []string `json:"unauthorized" doc:"logins on these hosts in the last 7 days that belong to no session, at most 50"`
	Drift        []string `json:"drift" doc:"hosts whose network configuration differs from the reviewed one, at most 50"`
}

// FactKind is the form of the network.changes fact.
var FactKind = evidence.KindOf[changesFact]("network.changes", evidence.ScopeProvider, time.Minute, "Changes of virtual networks, as far as the hosts that carry them show.")

const (
	factWindow = 7 * 24 * time.Hour
	factLogins = 2000
	factNames  = 50
)

// Scope implements posture.Source.
func (a *Auditor) Scope() evidence.Scope { return evidence.ScopeProvider }

// Facts implements posture.Source. The product itself changes no network, so
// that a network can be changed only on the hosts that carry it: by somebody
// who logs in there. Where no such host is watched there is no fact, for
// nothing is known.
func (a *Auditor) Facts(tx *store.Tx, _ evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	x := &audit{Auditor: a, tx: tx, grants: map[string]store.Grant{}}
	hosts, unwatched, err := x.hosts()
	if err != nil || len(hosts) == 0 {
		return nil, err
	}
	f := changesFact{Gate: len(unwatched) == 0, Unauthorized: []string{}, Drift: []string{}}
	logins, err := tx.HostLogins(now.Add(-factWindow), factLogins)
	if err != nil {
		return nil, err
	}
	for _, l := range logins {
		h, ok := hosts[l.VM]
		if !ok || len(f.Unauthorized) == factNames {
			continue
		}
		out := Login{HostLogin: l}
		if err := x.explainLogin(&out); err != nil {
			return nil, err
		}
		if out.Why != "" {
			f.Unauthorized = append(f.Unauthorized, fmt.Sprintf("login on %s at %s %s", h.vm.Name, l.At.UTC().Format(time.RFC3339), how(l)))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(hosts)) {
		st, err := tx.NetworkState(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if st.Changes > 0 && len(f.Drift) < factNames {
			f.Drift = append(f.Drift, fmt.Sprintf("%s (%d lines not reviewed)", hosts[id].vm.Name, st.Changes))
		}
	}
	raw, err := json.Marshal(f)
	return []evidence.Fact{{Kind: FactKind.Name, Data: raw, Again: now.Add(time.Minute)}}, err
}
